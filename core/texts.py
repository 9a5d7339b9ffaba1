"""A short text for people in the languages we ship: `{"en": "...", "zh-CN": "..."}`."""

from typing import Annotated

from pydantic import AfterValidator

LANGUAGES = ("en", "zh-CN")


def _has_english(text: dict[str, str]) -> dict[str, str]:
    if "en" not in text:
        raise ValueError("needs at least the key 'en'")
    return text


Text = Annotated[dict[str, str], AfterValidator(_has_english)]


def in_language(text: dict[str, str], language: str | None) -> str:
    """The text in `language`, else in its base language, else English."""
    if language and language in text:
        return text[language]
    if language:
        base = language.split("-")[0]
        for key, value in text.items():
            if key.split("-")[0] == base:
                return value
    return text.get("en", next(iter(text.values()), ""))
