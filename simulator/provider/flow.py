"""What may be played next, and the ways in which playing is interrupted."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.config import Target
from simulator.provider.twiml import Document


@dataclass(frozen=True, slots=True)
class DocumentRequest:
    """A document to be fetched."""

    target: Target
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inline:
    """TwiML given over REST; parsed when it is played, as at the provider."""

    body: str


Program = DocumentRequest | Inline | Document


class HungUp(Exception):
    """The leg is over; nothing more is played on it."""


class Redirected(Exception):
    """REST gave the leg something else to play."""

    def __init__(self, program: Program) -> None:
        super().__init__("redirected")
        self.program = program


class Stopped(Exception):
    """What was played until a condition held has to end."""


class Goto(Exception):
    """The document ends here; another takes over."""

    def __init__(self, request: DocumentRequest) -> None:
        super().__init__(request.target.url)
        self.request = request


class LeftQueue(Exception):
    """<Leave>."""
