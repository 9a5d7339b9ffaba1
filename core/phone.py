"""What a caller's number is. Parsing needs a library and lives in `infra/phone.py`; these are the results."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class NumberKind(StrEnum):
    E164 = "e164"
    SHORT = "short"
    SIP = "sip"
    CLIENT = "client"
    WITHHELD = "withheld"
    INVALID = "invalid"


class Attestation(StrEnum):
    """What carriers say of whether the caller may use the number (STIR/SHAKEN)."""

    VERIFIED = "verified"
    FAILED = "failed"
    UNKNOWN = "unknown"


_FAILED: Final = {
    f"TN-Validation-Failed{level}{way}" for level in ("", "-A", "-B", "-C") for way in ("", "-Diverted", "-Passthrough")
}


def attestation_of(words: str | None) -> Attestation | None:
    """Exact words only. Level A, straight from the caller's carrier, is worth a tick; B and C say where a call came in, not whose the
    number is. None: nothing was said, as in most countries."""
    if not words:
        return None
    if words == "TN-Validation-Passed-A":
        return Attestation.VERIFIED
    return Attestation.FAILED if words in _FAILED else Attestation.UNKNOWN


@dataclass(frozen=True, slots=True)
class Number:
    """`raw` as the provider sent it; `e164` only for kind e164 (gate: possible, not valid; new ranges lag).

    `value` is what identities are compared by: the E.164 form, the short digits, the SIP address, the client name;
    None for withheld and invalid numbers, which are never looked up."""

    kind: NumberKind
    raw: str
    value: str | None = None
    extension: str | None = None
    is_suspect: bool = False
    attestation: Attestation | None = None

    @property
    def e164(self) -> str | None:
        return self.value if self.kind is NumberKind.E164 else None
