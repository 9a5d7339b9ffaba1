"""What a caller's number is. Parsing needs a library and lives in `infra/phone.py`; these are the results."""

from dataclasses import dataclass
from enum import StrEnum


class NumberKind(StrEnum):
    E164 = "e164"
    SHORT = "short"
    SIP = "sip"
    CLIENT = "client"
    WITHHELD = "withheld"
    INVALID = "invalid"


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

    @property
    def e164(self) -> str | None:
        return self.value if self.kind is NumberKind.E164 else None
