"""What a telephone system (PBX) tells of its calls, whatever its dialect, and what of it can be applied now. Pure.

What decides. A call is what was told of it, not the order in which that came: what presupposes something untold waits for it for
`HELD_S`, then it is believed as it is. So an answer waits for the new call, and an end that does not say that nobody answered waits
for the answer. What comes later still changes nothing: an outcome is set once.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from core.errors import Invalid
from core.phone import Number, NumberKind
from cti.model import Outcome

HELD_S: Final = 2
MAX_CALL_ID: Final = 250
MAX_TEXT: Final = 200
MAX_USERS: Final = 100
BELIEVED: Final = timedelta(days=1)


class Kind(StrEnum):
    NEW_CALL = "new_call"
    RING = "ring"
    RING_END = "ring_end"
    ANSWER = "answer"
    HANGUP = "hangup"


RANK: Final = {Kind.NEW_CALL: 0, Kind.RING: 1, Kind.RING_END: 1, Kind.ANSWER: 2, Kind.HANGUP: 3}


class Cause(StrEnum):
    """Why a call ended, in the words of Zammad's and sipgate's interface."""

    NORMAL_CLEARING = "normalClearing"
    BUSY = "busy"
    CANCEL = "cancel"
    NO_ANSWER = "noAnswer"
    CONGESTION = "congestion"
    NOT_FOUND = "notFound"
    FORWARDED = "forwarded"


class Direction(StrEnum):
    IN = "in"
    OUT = "out"


class Unmappable(Invalid):
    """What was posted lacks something, or says something that nobody has given a meaning. Names our field and never the value."""

    def __init__(self, field: str, message: str, path: str | None = None) -> None:
        where = {} if path is None else {"path": path}
        super().__init__(f"{field} {message}.", errors=[{"field": field, "message": message, **where}])


@dataclass(frozen=True, slots=True)
class Report:
    """One event as it was told, in our words. Empty texts: not told."""

    kind: Kind
    call: str
    direction: Direction | None = None
    from_: str = ""
    to: str = ""
    users: tuple[str, ...] = ()
    """Whom it rings, or who has answered: any name that may be one of an agent, the best first."""
    queue: str = ""
    cause: Cause | None = None
    at: datetime | None = None
    event_id: str = ""
    previous: str = ""
    """The call that this one goes on with, where a transfer is a new one."""

    def __post_init__(self) -> None:
        if not self.call.strip():
            raise Unmappable("call", "is missing")
        if len(self.call) > MAX_CALL_ID:
            raise Unmappable("call", f"is longer than {MAX_CALL_ID} characters")
        if len(self.previous) > MAX_CALL_ID:
            raise Unmappable("previous_call", f"is longer than {MAX_CALL_ID} characters")
        for name in ("from_", "to", "queue"):
            if len(getattr(self, name)) > MAX_TEXT:
                raise Unmappable(name.rstrip("_"), f"is longer than {MAX_TEXT} characters")
        if len(self.users) > MAX_USERS or any(len(user) > MAX_TEXT for user in self.users):
            raise Unmappable("user", f"has more than {MAX_USERS} names or {MAX_TEXT} characters")
        if len(self.event_id) > MAX_TEXT:
            raise Unmappable("event_id", f"is longer than {MAX_TEXT} characters")


@dataclass(frozen=True, slots=True)
class PbxEvent:
    """A report with its connection's settings applied: nothing more has to be known to apply it later."""

    kind: Kind
    direction: Direction | None
    caller: Number
    to_number: str
    users: tuple[str, ...]
    queue: str
    language: str
    cause: Cause | None
    at: datetime | None
    is_blocked: bool = False
    previous: str = ""
    """The sid that a call goes on with."""

    def document(self) -> dict[str, Any]:
        """For the record."""
        return json.loads(json.dumps(asdict(self), default=str))  # type: ignore[no-any-return]


def event_of(document: Any) -> PbxEvent:
    """From the record."""
    caller = document["caller"]
    return PbxEvent(
        kind=Kind(document["kind"]),
        direction=None if document["direction"] is None else Direction(document["direction"]),
        caller=Number(NumberKind(caller["kind"]), caller["raw"], caller["value"]),
        to_number=document["to_number"],
        users=tuple(document["users"]),
        queue=document["queue"],
        language=document["language"],
        cause=None if document["cause"] is None else Cause(document["cause"]),
        at=None if document["at"] is None else datetime.fromisoformat(document["at"]),
        is_blocked=document["is_blocked"],
        previous=document.get("previous", ""),
    )


def sid_of(connection: str, call: str) -> str:
    """Unique among all providers: theirs hold no colon."""
    return f"{connection}:{call}"


def key_of(connection: str, report: Report) -> str:
    """By what a repeat is known: the system's own id of the event, else all that it says."""
    if report.event_id:
        said = f"{report.kind}\x00{report.call}\x00{report.event_id}"
    else:
        said = json.dumps(asdict(replace(report, event_id="")), default=str, sort_keys=True)
    return f"/cti/{connection}#{sha256(said.encode('utf-8', 'surrogatepass')).hexdigest()}"


def happened_at(told: datetime | None, now: datetime) -> datetime:
    """What a system's clock says, unless that lies in the future or further back than anybody waits."""
    return told if told is not None and now - BELIEVED < told <= now else now


# --- in what order -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stored:
    """An event that has not been applied yet."""

    id: int
    received_at: datetime
    event: PbxEvent

    @property
    def order(self) -> tuple[int, datetime, int]:
        return RANK[self.event.kind], self.event.at or self.received_at, self.id


def next_ready(waiting: Sequence[Stored], *, is_known: bool, is_settled: bool, now: datetime) -> Stored | None:
    """The first that may be applied. `is_known`: there is a call; `is_settled`: it was answered, or needs no answer to end."""
    for stored in sorted(waiting, key=lambda each: each.order):
        waited = (now - stored.received_at).total_seconds() >= HELD_S
        match stored.event.kind:
            case Kind.NEW_CALL:
                return stored
            case Kind.HANGUP if waited or (is_known and _is_final(stored.event.cause, is_settled=is_settled)):
                return stored
            case Kind.RING | Kind.RING_END | Kind.ANSWER if waited or is_known:
                return stored
            case _:
                pass
    return None


def _is_final(cause: Cause | None, *, is_settled: bool) -> bool:
    """Who was forwarded may go on in another call that follows."""
    return cause is not Cause.FORWARDED and (is_settled or says_unanswered(cause))


def says_unanswered(cause: Cause | None) -> bool:
    """`normalClearing` says nothing: who gives up in a line ends a call that the system itself had answered."""
    return cause not in (None, Cause.NORMAL_CLEARING)


INBOUND_END: Final = {
    Cause.FORWARDED: Outcome.FORWARDED,
    Cause.CONGESTION: Outcome.FAILED,
    Cause.NOT_FOUND: Outcome.FAILED,
}
OUTBOUND_END: Final = {Cause.CONGESTION: Outcome.FAILED, Cause.NOT_FOUND: Outcome.FAILED}


def outcome_unanswered(cause: Cause | None, *, is_inbound: bool) -> Outcome | None:
    """What became of a call that nobody answered; None: what its state says."""
    if is_inbound:
        return None if cause is None else INBOUND_END.get(cause)
    return Outcome.UNANSWERED if cause is None else OUTBOUND_END.get(cause, Outcome.UNANSWERED)
