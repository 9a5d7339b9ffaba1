"""The account's phone numbers and its TwiML App, with the addresses that are asked for their calls. REST reads and changes them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from simulator.config import Line, SimulatorConfig


@dataclass(slots=True)
class OwnedNumber:
    sid: str
    number: str
    line: Line
    created_at: datetime
    updated_at: datetime
    application_sid: str = ""
    """A TwiML App that answers instead of the number's own addresses."""
    trunk_sid: str = ""
    """A SIP trunk that takes the calls: no address is asked at all."""
    receives_voice: bool = True


@dataclass(slots=True)
class App:
    sid: str
    name: str
    line: Line
    created_at: datetime
    updated_at: datetime


class Numbers:
    """Where any number is accepted, the account owns each from the moment somebody names it."""

    def __init__(self, config: SimulatorConfig) -> None:
        self._config = config
        self._owned: dict[str, OwnedNumber] = {}
        at = config.clock.now()
        self.app = App(config.app_sid, "Ringdesk", config.app_line, at, at)
        for number, line in config.numbers.items():
            self._add(number, line)

    def __iter__(self) -> Iterator[OwnedNumber]:
        return iter(self._owned.values())

    def named(self, number: str) -> OwnedNumber | None:
        found = self._owned.get(number)
        if found is None and (line := self._config.line(number)) is not None:
            found = self._add(number, line)
        return found

    def with_sid(self, sid: str) -> OwnedNumber | None:
        return next((each for each in self if each.sid == sid), None)

    def line(self, number: str) -> Line | None:
        """Whom to ask when somebody dials it; None: nobody has this number."""
        found = self.named(number)
        if found is None or found.trunk_sid or not found.receives_voice:
            return None
        return self.app.line if found.application_sid == self.app.sid else found.line

    def _add(self, number: str, line: Line) -> OwnedNumber:
        at = self._config.clock.now()
        owned = OwnedNumber(f"PN{sha256(number.encode()).hexdigest()[:32]}", number, line, at, at)
        self._owned[number] = owned
        return owned
