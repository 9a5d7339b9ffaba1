"""States: what follows what, and what a change of state sets."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Invalid
from core.ids import TicketId
from ticketing import model
from ticketing.model import (
    DONE_STATES,
    OPEN_STATES,
    PENDING_STATES,
    TRANSITIONS,
    CloseReason,
    IllegalTransition,
    Priority,
    TicketRow,
    TicketState,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
S = TicketState
ROW = TicketRow(
    id=TicketId(1),
    number="T-2026-000123-8",
    subject="Call from Maria Lopez",
    state=S.NEW,
    priority=Priority.NORMAL,
    queue="support",
    assignee_id=None,
    customer_id=None,
    close_reason=None,
    tags=(),
    version=1,
    opened_at=NOW,
    updated_at=NOW,
    resolved_at=None,
    closed_at=None,
    due_at=None,
)


@pytest.mark.parametrize(("old", "new"), list(product(S, S)))
def test_each_pair_is_legal_or_refused_with_the_legal_ones(old: TicketState, new: TicketState) -> None:
    if new in TRANSITIONS[old]:
        model.check_transition(old, new)
        return
    with pytest.raises(IllegalTransition) as caught:
        model.check_transition(old, new)
    assert caught.value.fields["legal"] == [str(state) for state in model.next_states(old)]
    assert caught.value.code == "illegal_transition"
    assert caught.value.status == 409


def test_the_rules_in_words() -> None:
    assert set(TRANSITIONS) == set(S)
    assert all(S.NEW not in following for following in TRANSITIONS.values()), "nothing becomes new again"
    assert TRANSITIONS[S.MERGED] == frozenset()
    assert TRANSITIONS[S.CLOSED] == {S.OPEN}
    assert all(S.MERGED not in model.next_states(state) for state in S), "nobody merges by choosing a state"
    assert {S.NEW, S.OPEN} | PENDING_STATES == OPEN_STATES
    for state in OPEN_STATES | {S.RESOLVED}:
        assert S.CLOSED in TRANSITIONS[state]
        assert S.OPEN in TRANSITIONS[state] or state is S.OPEN


@given(st.lists(st.sampled_from(list(S)), max_size=12))
def test_columns_agree_with_the_state_on_every_road(wanted: list[TicketState]) -> None:
    ticket, now = ROW, NOW
    for state in wanted:
        now += timedelta(hours=1)
        try:
            ticket = replace(ticket, **model.enter_state(ticket.state, state, now=now, due_at=None))
        except IllegalTransition:
            continue
        assert (ticket.state in DONE_STATES) == (ticket.closed_at is not None) == (ticket.close_reason is not None)
        assert (ticket.state is S.PENDING_UNTIL) == (ticket.due_at is not None)
        assert ticket.state not in OPEN_STATES or ticket.resolved_at is None
        assert ticket.state is not S.RESOLVED or ticket.resolved_at == now


def test_close_reason_says_how_it_closed() -> None:
    by_hand = model.enter_state(S.OPEN, S.CLOSED, now=NOW, due_at=None)
    resolved = model.enter_state(S.RESOLVED, S.CLOSED, now=NOW, due_at=None)
    short = model.enter_state(S.NEW, S.CLOSED, now=NOW, due_at=None, reason=CloseReason.SHORT_ABANDON)
    assert [each["close_reason"] for each in (by_hand, resolved, short)] == ["by_hand", "resolved", "short_abandon"]


def test_put_off_until_a_time_or_tomorrow_but_not_into_the_past() -> None:
    later = NOW + timedelta(hours=3)
    assert model.enter_state(S.OPEN, S.PENDING_UNTIL, now=NOW, due_at=later)["due_at"] == later
    assert model.enter_state(S.OPEN, S.PENDING_UNTIL, now=NOW, due_at=None)["due_at"] == NOW + timedelta(days=1)
    with pytest.raises(Invalid):
        model.enter_state(S.OPEN, S.PENDING_UNTIL, now=NOW, due_at=NOW)


def test_history_tells_old_and_new_but_no_subject() -> None:
    changed = replace(ROW, state=S.CLOSED, close_reason="by_hand", closed_at=NOW, queue="sales", subject="Maria's bill")
    assert model.told_changes(ROW, changed) == [
        {"kind": "closed", "data": {"from": "new", "to": "closed", "reason": "by_hand"}},
        {"kind": "queue_changed", "data": {"from": "support", "to": "sales"}},
        {"kind": "subject_changed", "data": {}},
    ]
    assert model.told_changes(ROW, ROW) == []


@pytest.mark.parametrize(
    ("name", "language", "subject"),
    [
        ("Maria Lopez", "en", "Call from Maria Lopez"),
        ("Maria Lopez", "en-US", "Call from Maria Lopez"),
        ("王伟", "zh-CN", "来电：王伟"),
        ("Jörg  Müller\n", "de", "Anruf von Jörg Müller"),
        ("Maria Lopez", "fr", "Call from Maria Lopez"),
        (None, "en", "Call from unknown number"),
        (" ", "zh-CN", "陌生号码来电"),
        ("+49 30 901820", "en", "Call from unknown number"),
        ("Studio 54", "en", "Call from Studio 54"),
    ],
)
def test_subject_names_the_caller_and_holds_no_number(name: str | None, language: str, subject: str) -> None:
    assert model.subject_of_call(name, language) == subject


@pytest.mark.parametrize(
    ("subject", "language"),
    [
        ("Call from Maria Lopez", "en"),
        ("陌生号码来电", "zh-CN"),
        ("Anruf mit unterdrückter Nummer", "de"),
        ("Broken heater", None),
        ("Call from Bob", None),
    ],
)
def test_a_subject_given_by_the_call_is_told_from_one_that_people_wrote(subject: str, language: str | None) -> None:
    assert model.language_of_subject(subject, "Maria Lopez") == language
