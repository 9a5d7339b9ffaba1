"""Every verb, noun and attribute of our documents is one that the provider's own library knows, with values it may have."""

import inspect
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Final

import pytest
from twilio.twiml import voice_response

DOCUMENTS: Final = sorted((Path(__file__).resolve().parents[2] / "golden" / "twiml").glob("*.xml"))


def faults(element: ElementTree.Element) -> list[str]:
    """The library has a method for each verb that may stand inside another; its parameters are the attributes of that verb."""
    made = getattr(voice_response, "VoiceResponse" if element.tag == "Response" else element.tag, None)
    found = []
    for child in element:
        method = getattr(made, snake(child.tag), None)
        if method is None or child.tag[0].islower():
            found.append(f"<{child.tag}> may not stand in <{element.tag}>")
            continue
        known = set(inspect.signature(method).parameters) - {"self", "kwargs"}
        found += [f"<{child.tag} {name}> is unknown" for name in child.attrib if snake(name) not in known]
        found += faults(child)
    return found


def snake(name: str) -> str:
    word = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return {"from": "from_"}.get(word, word)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_documents_are_in_the_words_of_the_library(path: Path) -> None:
    assert faults(ElementTree.fromstring(path.read_text(encoding="utf-8"))) == []


def test_what_is_no_twiml_is_found() -> None:
    text = '<Response><Say colour="red">x</Say><Number>1</Number><Shout/></Response>'
    assert faults(ElementTree.fromstring(text)) == [
        "<Say colour> is unknown",
        "<Number> may not stand in <Response>",
        "<Shout> may not stand in <Response>",
    ]
