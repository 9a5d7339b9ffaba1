from datetime import UTC, datetime
from typing import Any

from simulator.people.desk import Desk, Verdict

NOW = datetime(2026, 1, 5, 9, 0, 1, tzinfo=UTC)


def a_pop(offer_id: int = 1, *, version: int = 1, state: str = "pending", call_id: int = 10) -> dict[str, Any]:
    return {
        "offer_id": offer_id,
        "version": version,
        "state": state,
        "offered_at": "2026-01-05T09:00:00.900000Z",
        "call": {"id": call_id},
    }


def a_snapshot(seq: int = 5, *pops: dict[str, Any]) -> dict[str, Any]:
    return {
        "seq": None,
        "data": {"seq": seq, "presence": {"state": "available", "version": 1}, "offers": pops, "calls": []},
    }


def a_desk(*pops: dict[str, Any]) -> Desk:
    desk = Desk()
    desk.receive("snapshot", a_snapshot(5, *pops), NOW)
    return desk


def test_the_next_seq_is_applied_and_the_same_again_is_dropped() -> None:
    desk = a_desk()
    assert desk.receive("screen_pop", {"seq": 6, "data": a_pop()}, NOW) is Verdict.APPLIED
    assert desk.receive("screen_pop", {"seq": 6, "data": a_pop()}, NOW) is Verdict.SEEN
    assert (list(desk.offers), desk.shown_twice, desk.last_seq) == ([1], [], 6)
    assert desk.pop_ms == [100.0]


def test_a_gap_is_not_applied() -> None:
    desk = a_desk()
    assert desk.receive("screen_pop", {"seq": 7, "data": a_pop()}, NOW) is Verdict.GAP
    assert (desk.offers, desk.last_seq) == ({}, 5)


def test_a_pop_under_a_new_seq_is_shown_twice() -> None:
    desk = a_desk(a_pop())
    desk.receive("screen_pop", {"seq": 6, "data": a_pop()}, NOW)
    assert desk.shown_twice == [1]


def test_a_newer_version_of_a_pop_is_not_shown_twice() -> None:
    desk = a_desk(a_pop())
    desk.receive("screen_pop", {"seq": 6, "data": a_pop(version=2)}, NOW)
    assert desk.shown_twice == []


def test_what_comes_before_the_first_snapshot_is_left_to_it() -> None:
    desk = Desk()
    assert desk.receive("screen_pop", {"seq": 3, "data": a_pop()}, NOW) is Verdict.SEEN
    desk.receive("snapshot", a_snapshot(3, a_pop()), NOW)
    assert (list(desk.offers), desk.shown_twice) == ([1], [])


def test_noop_counts_and_unnumbered_events_do_not() -> None:
    desk = a_desk()
    desk.receive("noop", {"seq": 6, "data": {}}, NOW)
    desk.receive("queue_stats", {"seq": None, "data": {"queues": []}}, NOW)
    assert desk.last_seq == 6


def test_a_call_goes_from_offer_to_closed() -> None:
    desk = a_desk(a_pop())
    desk.receive("call_changed", {"seq": 6, "data": {"state": "in_call", "version": 2, "pop": a_pop()}}, NOW)
    assert (desk.offers, desk.call_state(10)) == ({}, "in_call")
    desk.receive("call_changed", {"seq": 7, "data": {"state": "connecting", "version": 1, "pop": a_pop()}}, NOW)
    assert desk.call_state(10) == "in_call"
    desk.receive("call_changed", {"seq": 8, "data": {"call_id": 10, "state": "closed"}}, NOW)
    assert desk.call_state(10) == "closed"


def test_an_older_presence_does_not_win() -> None:
    desk = a_desk()
    desk.see_presence({"state": "break", "version": 3})
    desk.receive("presence_changed", {"seq": 6, "data": {"state": "available", "version": 2}}, NOW)
    assert desk.presence["state"] == "break"
