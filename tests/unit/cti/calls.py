"""A call and the events of its life, for tests of the model."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from core.ids import AgentId, CallId, OfferId
from core.phone import Number, NumberKind
from cti.model import (
    AgentJoined,
    AgentLeft,
    AgentLost,
    Call,
    CallerGone,
    CallerJoined,
    CallEvent,
    CallState,
    CameBack,
    ConnectFailed,
    Connecting,
    HandedOn,
    HoldChanged,
    HoldRefused,
    HoldWanted,
    MenuPlayed,
    MessageLeft,
    NothingLeft,
    Outcome,
    Queued,
    SentToRecorder,
    TurnedAway,
    WrapUpDone,
)

START: Final = datetime(2026, 1, 5, 9, tzinfo=UTC)
ANN, BOB = AgentId(1), AgentId(2)
FIRST, SECOND = OfferId(11), OfferId(12)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def a_call(**changes: Any) -> Call:
    fields: dict[str, Any] = {
        "id": CallId(7),
        "account_sid": "AC1",
        "sid": "CA1",
        "caller": Number(NumberKind.E164, "+14155550100", "+14155550100"),
        "to_number": "+14155550199",
        "language": "en",
        "queue": None,
        "state": CallState.RECEIVED,
        "outcome": None,
        "agent_id": None,
        "offer_id": None,
        "agent_joined": False,
        "caller_joined": False,
        "ended_by": None,
        "version": 1,
        "created_at": START,
        "queued_at": None,
        "answered_at": None,
        "ended_at": None,
    }
    return Call(**{**fields, **changes})


QUEUED: Final = Queued("support", at(1))
CONNECTING: Final = Connecting(ANN, FIRST)
CALLER_JOINED: Final = CallerJoined(at(5))
AGENT_JOINED: Final = AgentJoined(ANN, at(6))
AGENT_LEFT: Final = AgentLeft(ANN, at(20))
AGENT_LOST: Final = AgentLost(FIRST)
HOLD: Final = HoldWanted(is_held=True)
RESUME: Final = HoldWanted(is_held=False)
HELD: Final = HoldChanged(is_held=True, at=at(10))
RESUMED: Final = HoldChanged(is_held=False, at=at(15))
HOLD_REFUSED: Final = HoldRefused()
HANDED_ON: Final = HandedOn(FIRST, transfer_id=5)
HANDED_OUT: Final = HandedOn(FIRST, transfer_id=6, is_outside=True)
CAME_BACK: Final = CameBack()
CONNECT_FAILED: Final = ConnectFailed(FIRST)
GONE: Final = CallerGone(at(30))
MENU: Final = MenuPlayed("main")
TURNED_AWAY: Final = TurnedAway(Outcome.AFTER_HOURS, at(2))
SENT: Final = SentToRecorder("support", "asked", at(12))
MESSAGE: Final = MessageLeft(at(25))
NOTHING: Final = NothingLeft(at(26))
WRAPPED: Final = WrapUpDone(at(60))
LIFE: Final[tuple[CallEvent, ...]] = (QUEUED, CONNECTING, CALLER_JOINED, AGENT_JOINED, AGENT_LEFT, GONE, WRAPPED)
"""One call, answered, from beginning to end."""
