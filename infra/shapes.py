"""What the parts of the organisation file are made of, wherever in the file they stand."""

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from phonenumbers import SUPPORTED_REGIONS
from pydantic import AfterValidator, Field


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}") from None
    return name


def _region(name: str) -> str:
    if name not in SUPPORTED_REGIONS:
        raise ValueError(f"there is no region {name!r}; use the two letters of ISO 3166, such as US, DE, GB, CN")
    return name


Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Zone = Annotated[str, AfterValidator(_zone)]
Region = Annotated[str, AfterValidator(_region)]
