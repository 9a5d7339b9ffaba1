"""`advance()`: a table of single steps, and laws that hold in every order the events may come in."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any, Final

import pytest

from cti.model import (
    AgentJoined,
    AgentLeft,
    AgentLost,
    Call,
    CallerGone,
    CallEvent,
    CallState,
    ConnectFailed,
    Connecting,
    Deflected,
    HandedOn,
    Happened,
    Outcome,
    SentToRecorder,
    advance,
)
from tests.unit.cti.calls import (
    AGENT_JOINED,
    AGENT_LEFT,
    AGENT_LOST,
    ANN,
    BOB,
    CALLER_JOINED,
    CAME_BACK,
    CONNECT_FAILED,
    CONNECTING,
    FIRST,
    GONE,
    HANDED_ON,
    HANDED_OUT,
    HELD,
    HOLD,
    HOLD_REFUSED,
    LIFE,
    MENU,
    MESSAGE,
    NOTHING,
    QUEUED,
    RESUME,
    RESUMED,
    SECOND,
    SENT,
    TURNED_AWAY,
    WRAPPED,
    a_call,
    at,
)


def after(events: Iterable[CallEvent], call: Call | None = None) -> Call:
    call = call or a_call()
    for event in events:
        call, _ = advance(call, event)
    return call


WAITING: Final = (QUEUED,)
RINGING: Final = (QUEUED, CONNECTING)
TALKING: Final = (*RINGING, CALLER_JOINED, AGENT_JOINED)
ALONE: Final = (*TALKING, AGENT_LEFT)
OVER: Final = (*TALKING, GONE)
OUTSIDE: Final = (*TALKING, HANDED_OUT)
ON_HOLD: Final = (*TALKING, HOLD, HELD)

TABLE: Final[list[tuple[Sequence[CallEvent], CallEvent, CallState, Happened | None]]] = [
    ((), QUEUED, CallState.QUEUED, Happened.QUEUED),
    ((), CONNECTING, CallState.RECEIVED, None),
    ((), GONE, CallState.CLOSED, Happened.ENDED),
    (WAITING, QUEUED, CallState.QUEUED, None),
    (WAITING, CONNECTING, CallState.CONNECTING, Happened.CONNECTING),
    (WAITING, CALLER_JOINED, CallState.QUEUED, None),
    (WAITING, AGENT_JOINED, CallState.QUEUED, None),
    (WAITING, CONNECT_FAILED, CallState.QUEUED, None),
    (WAITING, GONE, CallState.CLOSED, Happened.ENDED),
    (RINGING, Connecting(BOB, SECOND), CallState.CONNECTING, None),
    (RINGING, CALLER_JOINED, CallState.CONNECTING, None),
    (RINGING, AGENT_JOINED, CallState.CONNECTING, None),
    (RINGING, AgentJoined(BOB, at(6)), CallState.CONNECTING, None),
    (RINGING, CONNECT_FAILED, CallState.QUEUED, Happened.CONNECT_FAILED),
    (RINGING, ConnectFailed(SECOND), CallState.CONNECTING, None),
    (RINGING, AGENT_LOST, CallState.CONNECTING, None),
    (RINGING, GONE, CallState.CLOSED, Happened.ENDED),
    ((*RINGING, CALLER_JOINED), AGENT_JOINED, CallState.IN_CALL, Happened.ANSWERED),
    ((*RINGING, AGENT_JOINED), CALLER_JOINED, CallState.IN_CALL, Happened.ANSWERED),
    ((*RINGING, AGENT_JOINED, AGENT_LEFT), CALLER_JOINED, CallState.CONNECTING, None),
    ((*RINGING, CALLER_JOINED), CONNECT_FAILED, CallState.QUEUED, Happened.CONNECT_FAILED),
    (TALKING, AGENT_LEFT, CallState.IN_CALL, Happened.AGENT_LEFT),
    (TALKING, AgentLeft(BOB, at(20)), CallState.IN_CALL, None),
    (TALKING, AGENT_LOST, CallState.IN_CALL, None),
    (TALKING, CONNECT_FAILED, CallState.IN_CALL, None),
    (TALKING, GONE, CallState.WRAP_UP, Happened.ENDED),
    (TALKING, WRAPPED, CallState.IN_CALL, None),
    (ALONE, AGENT_JOINED, CallState.IN_CALL, Happened.AGENT_BACK),
    (ALONE, AgentJoined(BOB, at(21)), CallState.IN_CALL, None),
    (ALONE, AGENT_LOST, CallState.QUEUED, Happened.AGENT_LOST),
    (ALONE, AgentLost(SECOND), CallState.IN_CALL, None),
    (ALONE, GONE, CallState.WRAP_UP, Happened.ENDED),
    (WAITING, HOLD, CallState.QUEUED, None),
    (RINGING, HOLD, CallState.CONNECTING, None),
    (TALKING, HOLD, CallState.IN_CALL, None),
    (TALKING, RESUME, CallState.IN_CALL, None),
    (TALKING, HELD, CallState.IN_CALL, None),
    (TALKING, HOLD_REFUSED, CallState.IN_CALL, None),
    ((*TALKING, HOLD), HELD, CallState.ON_HOLD, Happened.HELD),
    ((*TALKING, HOLD), HOLD_REFUSED, CallState.IN_CALL, Happened.HOLD_REFUSED),
    ((*TALKING, HOLD, RESUME), HELD, CallState.IN_CALL, None),
    (ON_HOLD, HELD, CallState.ON_HOLD, None),
    (ON_HOLD, RESUMED, CallState.ON_HOLD, None),
    ((*ON_HOLD, RESUME), RESUMED, CallState.IN_CALL, Happened.RESUMED),
    ((*ON_HOLD, RESUME), HOLD_REFUSED, CallState.ON_HOLD, Happened.HOLD_REFUSED),
    (ON_HOLD, AGENT_LEFT, CallState.ON_HOLD, Happened.AGENT_LEFT),
    ((*ON_HOLD, AGENT_LEFT), AGENT_JOINED, CallState.ON_HOLD, Happened.AGENT_BACK),
    ((*ON_HOLD, AGENT_LEFT), AGENT_LOST, CallState.QUEUED, Happened.AGENT_LOST),
    (ON_HOLD, GONE, CallState.WRAP_UP, Happened.ENDED),
    (OVER, HOLD, CallState.WRAP_UP, None),
    (RINGING, HANDED_ON, CallState.CONNECTING, None),
    (TALKING, HANDED_ON, CallState.QUEUED, Happened.HANDED_ON),
    (TALKING, HandedOn(SECOND, transfer_id=5), CallState.IN_CALL, None),
    (ON_HOLD, HANDED_ON, CallState.QUEUED, Happened.HANDED_ON),
    (ALONE, HANDED_ON, CallState.QUEUED, Happened.HANDED_ON),
    (TALKING, HANDED_OUT, CallState.OUTSIDE, Happened.HANDED_ON),
    (TALKING, CAME_BACK, CallState.IN_CALL, None),
    (OUTSIDE, CAME_BACK, CallState.QUEUED, Happened.CAME_BACK),
    (OUTSIDE, AGENT_LEFT, CallState.OUTSIDE, None),
    (OUTSIDE, AGENT_JOINED, CallState.OUTSIDE, None),
    (OUTSIDE, HOLD, CallState.OUTSIDE, None),
    (OUTSIDE, GONE, CallState.CLOSED, Happened.ENDED),
    (OVER, HANDED_ON, CallState.WRAP_UP, None),
    ((), MENU, CallState.IVR, None),
    ((MENU,), MENU, CallState.IVR, None),
    ((MENU,), QUEUED, CallState.QUEUED, Happened.QUEUED),
    ((MENU,), SENT, CallState.VOICEMAIL, Happened.SENT_TO_RECORDER),
    ((MENU,), GONE, CallState.CLOSED, Happened.ENDED),
    (WAITING, MENU, CallState.QUEUED, None),
    ((), TURNED_AWAY, CallState.CLOSED, Happened.ENDED),
    (WAITING, TURNED_AWAY, CallState.QUEUED, None),
    (TALKING, TURNED_AWAY, CallState.IN_CALL, None),
    ((), SENT, CallState.VOICEMAIL, Happened.SENT_TO_RECORDER),
    (WAITING, SENT, CallState.VOICEMAIL, Happened.SENT_TO_RECORDER),
    (RINGING, SENT, CallState.CONNECTING, None),
    (TALKING, SENT, CallState.IN_CALL, None),
    ((*WAITING, SENT), SENT, CallState.VOICEMAIL, None),
    ((*WAITING, SENT), QUEUED, CallState.VOICEMAIL, None),
    ((*WAITING, SENT), CONNECTING, CallState.VOICEMAIL, None),
    ((*WAITING, SENT), GONE, CallState.VOICEMAIL, Happened.LEFT_RECORDER),
    ((*WAITING, SENT, GONE), GONE, CallState.VOICEMAIL, None),
    ((*WAITING, SENT), MESSAGE, CallState.CLOSED, Happened.ENDED),
    ((*WAITING, SENT, GONE), NOTHING, CallState.CLOSED, Happened.ENDED),
    (WAITING, MESSAGE, CallState.QUEUED, None),
    (TALKING, NOTHING, CallState.IN_CALL, None),
    (OVER, WRAPPED, CallState.CLOSED, Happened.CLOSED),
    (OVER, AGENT_LEFT, CallState.WRAP_UP, None),
    (OVER, GONE, CallState.WRAP_UP, None),
    (OVER, QUEUED, CallState.WRAP_UP, None),
]


@pytest.mark.parametrize(("before", "event", "state", "happened"), TABLE)
def test_one_step(before: Sequence[CallEvent], event: CallEvent, state: CallState, happened: Happened | None) -> None:
    call = after(before)
    moved, told = advance(call, event)
    assert (moved.state, told) == (state, happened)
    assert (moved is call) == (moved == call)


@pytest.mark.parametrize(
    ("before", "outcome"),
    [
        ((), Outcome.ABANDONED_IVR),
        ((MENU,), Outcome.ABANDONED_IVR),
        (WAITING, Outcome.ABANDONED_QUEUE),
        (RINGING, Outcome.ABANDONED_RINGING),
        ((*RINGING, CALLER_JOINED), Outcome.ABANDONED_RINGING),
        ((*RINGING, AGENT_JOINED), Outcome.ABANDONED_RINGING),
        ((*RINGING, CONNECT_FAILED), Outcome.ABANDONED_QUEUE),
        (TALKING, Outcome.ANSWERED),
        (ALONE, Outcome.ANSWERED),
        ((*ALONE, AGENT_LOST), Outcome.ABANDONED_QUEUE),
        (ON_HOLD, Outcome.ANSWERED),
        (OUTSIDE, Outcome.ANSWERED),
        ((*OUTSIDE, CAME_BACK), Outcome.ABANDONED_QUEUE),
        ((*TALKING, HANDED_ON), Outcome.ABANDONED_QUEUE),
    ],
)
def test_outcome_when_the_caller_goes(before: Sequence[CallEvent], outcome: Outcome) -> None:
    call = after((*before, GONE))
    assert call.outcome is outcome
    assert call.is_over
    assert call.ended_by == "customer"
    failed = after((*before, CallerGone(at(30), failed=True, by="system")))
    assert failed.outcome is (Outcome.ANSWERED if outcome is Outcome.ANSWERED else Outcome.FAILED)
    assert failed.ended_by == "system"


def test_who_hung_up_first_is_kept() -> None:
    call = replace(after(TALKING), ended_by="agent")
    assert after([GONE], call).ended_by == "agent"


def test_times_come_from_the_events_and_never_run_backwards() -> None:
    call = after(OVER)
    assert (call.queued_at, call.answered_at, call.ended_at) == (at(1), at(6), at(30))
    assert after((*WAITING, CallerGone(at(-5)))).ended_at == at(1)
    assert after((*TALKING, CallerGone(at(2)))).ended_at == at(6)


def test_second_conversation_keeps_the_time_of_the_first_answer() -> None:
    call = after((*ALONE, AGENT_LOST, Connecting(BOB, SECOND), CALLER_JOINED, AgentJoined(BOB, at(40))))
    assert call.state is CallState.IN_CALL
    assert (call.answered_at, call.agent_id, call.offer_id) == (at(6), BOB, SECOND)


def test_back_in_line_nobody_holds_the_call() -> None:
    for events in ((*RINGING, CALLER_JOINED, CONNECT_FAILED), (*ALONE, AGENT_LOST), (*ON_HOLD, AGENT_LEFT, AGENT_LOST)):
        call = after(events)
        assert (call.hold_wanted, call.held_at) == (False, None)
        assert (call.agent_id, call.offer_id, call.agent_joined, call.caller_joined) == (None, None, False, False)
        assert call.queued_at == at(1)


# --- let go ----------------------------------------------------------------------------------------------------------


def test_only_who_waits_is_let_go_and_what_comes_later_changes_nothing() -> None:
    waiting = after(WAITING)
    call, happened = advance(waiting, Deflected(at(10)))
    assert (call.state, call.outcome, happened) == (CallState.CLOSED, Outcome.DEFLECTED, Happened.ENDED)
    assert (call.ended_at, call.ended_by) == (at(10), "system")
    assert advance(call, CallerGone(at(30))) == (call, None)
    for events in ((), TALKING):
        assert advance(after(events), Deflected(at(10))) == (after(events), None)


# --- hold ------------------------------------------------------------------------------------------------------------


def test_a_hold_ends_as_the_agent_said_last_whatever_order_the_provider_tells() -> None:
    """Held and resumed, each told by callback and answer, in every order and repeated afterwards: where no word of the provider
    fits what is wanted, nothing moves."""
    told = (HELD, HELD, RESUMED, RESUMED)
    for order in set(permutations(told)):
        call = after((*TALKING, HOLD, RESUME, *order, *order))
        assert (call.state, call.held_at) == (CallState.IN_CALL, None)
        call = after((*TALKING, HOLD, *order, *order))
        assert (call.state, call.held_at) == (CallState.ON_HOLD, at(10))
        for cut in range(len(told)):
            call = after((*TALKING, HOLD, *order[:cut], RESUME, *order[cut:]))
            assert call.is_held <= (RESUMED not in order[cut:])


# --- at the recorder -------------------------------------------------------------------------------------------------


def test_only_the_recording_tells_what_became_of_who_hung_up_at_the_recorder() -> None:
    told: tuple[CallEvent, ...] = (MESSAGE, GONE, GONE)
    for order in set(permutations(told)):
        call = after((*WAITING, SENT, *order))
        assert (call.state, call.outcome, call.ended_by) == (CallState.CLOSED, Outcome.VOICEMAIL, "customer"), order
    closed = SentToRecorder("support", "closed", at(1))
    cases: list[tuple[tuple[CallEvent, ...], Outcome]] = [
        ((SENT,), Outcome.ABANDONED_IVR),
        ((*WAITING, SENT), Outcome.ABANDONED_QUEUE),
        ((closed,), Outcome.AFTER_HOURS),
    ]
    for events, outcome in cases:
        waits = after((*events, GONE))
        assert (waits.outcome, waits.left_at, waits.queue) == (None, at(30), "support")
        gone = after([NOTHING], waits)
        assert (gone.outcome, gone.ended_at) == (outcome, at(30))
        assert after([MESSAGE], gone) == gone, "the first word counts"
    assert after((*WAITING, SENT, MESSAGE)).ended_at == at(25)


# --- laws ------------------------------------------------------------------------------------------------------------

EVERYTHING: Final[tuple[CallEvent, ...]] = (
    *LIFE,
    AGENT_LOST,
    HOLD,
    RESUME,
    HELD,
    RESUMED,
    HOLD_REFUSED,
    HANDED_ON,
    HANDED_OUT,
    CAME_BACK,
    CONNECT_FAILED,
    CallerGone(at(31), failed=True, by="system"),
    Connecting(BOB, SECOND),
    AgentJoined(BOB, at(8)),
    AgentLeft(BOB, at(9)),
    ConnectFailed(SECOND),
    AgentLost(SECOND),
    Deflected(at(10)),
    SENT,
    MESSAGE,
    NOTHING,
    TURNED_AWAY,
    MENU,
)


def _essence(call: Call) -> Call:
    return replace(call, version=0)


def reachable() -> list[Call]:
    """Every state that any sequence of these events, however long, leads to."""
    seen = {_essence(a_call()): a_call()}
    todo = deque(seen.values())
    while todo:
        call = todo.popleft()
        for event in EVERYTHING:
            moved, _ = advance(call, event)
            if _essence(moved) not in seen:
                seen[_essence(moved)] = moved
                todo.append(moved)
    return list(seen.values())


def test_laws_of_every_step_from_every_reachable_state() -> None:
    calls = reachable()
    assert {call.state for call in calls} == set(CallState)
    for call in calls:
        assert (call.state in (CallState.WRAP_UP, CallState.CLOSED)) == call.is_over
        assert call.is_over == (call.ended_at is not None) == (call.ended_by is not None)
        assert (call.state in (CallState.CONNECTING, CallState.IN_CALL)) <= (call.agent_id is not None)
        assert call.is_talking <= (call.answered_at is not None)
        assert call.is_held == (call.held_at is not None)
        assert (call.is_held or call.hold_wanted) <= call.is_talking
        assert (call.state is CallState.OUTSIDE) <= (call.transfer_id is not None)
        assert (call.transfer_id is not None) <= (
            call.state in (CallState.QUEUED, CallState.CONNECTING, CallState.OUTSIDE)
        )
        assert (call.state in (CallState.QUEUED, CallState.OUTSIDE)) <= (call.agent_id is None)
        for event in EVERYTHING:
            moved, happened = advance(call, event)
            assert moved.version == call.version + (moved is not call), "one more for each change"
            assert (happened is not None) <= (moved is not call), "nothing is told that changed nothing"
            assert advance(moved, event) == (moved, None), "the same again changes nothing"
            if call.is_over:
                _check_terminal(call, moved)


def _check_terminal(call: Call, moved: Call) -> None:
    """Over is over: only wrap-up may still end."""
    assert moved.outcome is call.outcome
    assert moved in (call, replace(call, state=CallState.CLOSED, version=call.version + 1))
    assert (call.state is CallState.CLOSED) <= (moved is call)


def _expected(order: Sequence[CallEvent]) -> Outcome:
    """Said in another way: what had come, in an order that made sense, when the caller's end came."""
    known: list[Any] = list(order[: order.index(GONE)])

    def came(*wanted: CallEvent) -> bool:
        places = [known.index(event) if event in known else -1 for event in wanted]
        return -1 not in places and places == sorted(places)

    if not came(QUEUED):
        return Outcome.ABANDONED_IVR
    if not came(QUEUED, CONNECTING):
        return Outcome.ABANDONED_QUEUE
    joined = came(QUEUED, CONNECTING, CALLER_JOINED) and came(QUEUED, CONNECTING, AGENT_JOINED)
    left_before_caller = came(QUEUED, CONNECTING, AGENT_JOINED, AGENT_LEFT, CALLER_JOINED)
    return Outcome.ANSWERED if joined and not left_before_caller else Outcome.ABANDONED_RINGING


def test_all_orders_of_one_call_with_duplicates_end_alike() -> None:
    """All 5,040 orders of seven events: once, each doubled at once, and all repeated afterwards."""
    for order in permutations(LIFE):
        once = after(order)
        assert once.outcome is _expected(order), order
        doubled = after([event for event in order for _ in range(2)])
        assert doubled == once, order
        repeated = after(order, once)
        assert (repeated.outcome, repeated.ended_at) == (once.outcome, once.ended_at), order
        assert after(order, repeated) == repeated, order


def test_a_call_that_was_joined_by_both_before_its_end_is_answered_in_any_order() -> None:
    """Our own acts have their order (queued, connecting); what the provider tells comes as it likes."""
    told: tuple[CallEvent, ...] = (CALLER_JOINED, AGENT_JOINED, GONE, CALLER_JOINED, AGENT_JOINED)
    for order in set(permutations(told)):
        is_joined = {CALLER_JOINED, AGENT_JOINED} <= set(order[: order.index(GONE)])
        expected = Outcome.ANSWERED if is_joined else Outcome.ABANDONED_RINGING
        assert after((*RINGING, *order)).outcome is expected


def test_version_counts_the_changes_of_every_order() -> None:
    events: tuple[CallEvent, ...] = (QUEUED, CONNECTING, CALLER_JOINED, AGENT_JOINED, GONE)
    for order in permutations(events):
        call, changes = a_call(), 0
        for event in (*order, *order):
            moved, _ = advance(call, event)
            changes += moved is not call
            call = moved
        assert call.version == 1 + changes


def test_nobody_else_joins_or_leaves_in_the_holders_name() -> None:
    for call in reachable():
        if call.agent_id == ANN:
            assert advance(call, AgentJoined(BOB, at(8)))[0] is call
            assert advance(call, AgentLeft(BOB, at(9)))[0] is call
        if call.offer_id == FIRST:
            assert advance(call, ConnectFailed(SECOND))[0] is call
