"""Queues that let go: full, too long, nobody there. The caller goes on to another queue, or is told that we call back."""

import pytest

from app.org import OrgFileInvalid, parse_org
from infra.outbox import Tx
from routing import dispatcher
from routing import queries as sql
from routing.dispatcher import apply_decision
from routing.explain import overflowed
from routing.overflow import overflow_due
from routing.reading import read_and_decide
from tests.integration.routing.floor import ORG, POOL, Floor, Waiting

SUPPORT = "{key: support, name: {en: Support}, offer_timeout_s: 20, wrap_up: {mode: timed, seconds: 30}"


def org(support: str = "", sales: str = "") -> str:
    found = ORG.replace(SUPPORT, f"{SUPPORT}, overflow: {{{support}}}" if support else SUPPORT)
    if sales:
        found = found.replace(
            "{key: sales, name: {en: Sales}", f"{{key: sales, name: {{en: Sales}}, overflow: {{{sales}}}"
        )
    return found


async def stays(floor: Floor, waiting: Waiting) -> list[tuple[str, str | None, str | None]]:
    rows = await floor.fetch(
        "SELECT queue, outcome, overflow_reason FROM stints WHERE work_item_id = $1 ORDER BY id", waiting.item_id
    )
    return [(row["queue"], row["outcome"], row["overflow_reason"]) for row in rows]


async def sweep(floor: Floor) -> None:
    """What the dispatcher's sweep does with those whom a queue may let go of."""
    for row in await floor.fetch(sql.OVERFLOWS_DUE, True):
        await floor.transact(lambda tx, row=row: overflow_due(tx, row["id"], row["version"]))  # type: ignore[misc]


async def outcome(floor: Floor, waiting: Waiting) -> tuple[str | None, str, str | None]:
    call = await floor.row("SELECT outcome FROM calls WHERE id = $1", waiting.call_id)
    item = await floor.item(waiting)
    return call["outcome"], item["state"], item["end_reason"]


async def test_who_finds_a_queue_full_goes_to_the_next_with_the_ticket(floor: Floor) -> None:
    await floor.open(org("max_waiting: 2, to: sales"))
    first, _, third = await floor.ring(), await floor.ring(), await floor.ring()
    assert await stays(floor, third) == [("support", "overflowed", "full"), ("sales", None, None)]
    item = await floor.item(third)
    assert (item["queue"], item["pool_id"], item["state"]) == ("sales", POOL, "queued")
    assert item["entered_at"] == item["virtual_start"]
    assert await floor.value("SELECT queue FROM tickets WHERE id = $1", third.ticket_id) == "sales"
    await floor.hang_up(first)
    fourth = await floor.ring()
    assert await stays(floor, fourth) == [("support", None, None)], "there is room again"


async def test_the_next_queue_may_be_full_too_and_then_the_caller_is_told_that_we_call_back(floor: Floor) -> None:
    await floor.open(org("max_waiting: 1, to: sales", "max_waiting: 1"))
    await floor.ring()
    await floor.ring()
    third = await floor.ring()
    assert await outcome(floor, third) == ("deflected", "diverted", "deflected")
    assert await stays(floor, third) == [("support", "overflowed", "full"), ("sales", "overflowed", "full")]
    await floor.settle()
    ticket = await floor.row("SELECT state, queue, assignee_id FROM tickets WHERE id = $1", third.ticket_id)
    assert ticket == {"state": "new", "queue": "sales", "assignee_id": None}
    assert [body["queue"] for _, body in await floor.events("work.deflected")] == ["sales"]
    assert len(await floor.events("work.queued")) == 2, "nobody is woken for who was let go"


async def test_r17_who_has_waited_too_long_moves_on_and_keeps_place_and_requirement(floor: Floor) -> None:
    rules = """
- name: first
  then: {boost_s: 60, steps: [{after_s: 0, require: [{skill: billing, level: 2}]}]}
"""
    await floor.open(org("max_wait_s: 60, to: sales"), rules=rules)
    long, short = await floor.ring(waited_s=61), await floor.ring(waited_s=50)
    before = await floor.item(long)
    await sweep(floor)
    await sweep(floor)
    assert await stays(floor, long) == [("support", "overflowed", "too_long"), ("sales", None, None)]
    assert await stays(floor, short) == [("support", None, None)]
    after = await floor.item(long)
    for same in ("entered_at", "virtual_start", "steps", "tier"):
        assert before[same] == after[same]
    await floor.arrive("ben")
    assert await floor.dispatch() == [("ben", long.item_id)]


async def test_who_is_just_being_offered_to_somebody_is_not_taken_away(floor: Floor) -> None:
    await floor.open(org("max_wait_s: 60, to: sales"))
    await floor.arrive("ava")
    call = await floor.ring(waited_s=90)
    assert await floor.dispatch() == [("ava", call.item_id)]
    await sweep(floor)
    await floor.transact(lambda tx: overflow_due(tx, call.item_id, 1))
    assert await stays(floor, call) == [("support", None, None)]
    await floor.reject("ava")
    await sweep(floor)
    assert await stays(floor, call) == [("support", "overflowed", "too_long"), ("sales", None, None)]


async def test_nobody_there_is_not_everybody_busy(floor: Floor) -> None:
    await floor.open(org("if_nobody: overflow"))
    await floor.arrive("ava")
    first = await floor.ring()
    await floor.dispatch()
    await floor.talk(first, "ava")
    second = await floor.ring()
    await sweep(floor)
    assert await outcome(floor, second) == (None, "queued", None), "Ava is busy, and there"
    await floor.hang_up(first)
    await floor.finish(first, "ava")
    await floor.present("ava", "break")
    await sweep(floor)
    assert await outcome(floor, second) == (None, "queued", None), "who is on break comes back"
    await floor.disconnect("ava")
    await sweep(floor)
    assert await outcome(floor, second) == (None, "queued", None), "also while the page is loaded again"
    await floor.execute("UPDATE agents SET presence = 'available' WHERE id = $1", floor.agent("ava").user_id)
    await floor.sweep_lost("ava")
    assert (await floor.presence("ava"))[0] == "reconnecting"
    await sweep(floor)
    assert await outcome(floor, second) == (None, "queued", None)
    await floor.present("ava", "offline")
    await sweep(floor)
    assert await outcome(floor, second) == ("deflected", "diverted", "deflected")
    third = await floor.ring()
    assert await outcome(floor, third) == (None, "queued", None), "at the entrance nobody knows who is just coming back"
    await sweep(floor)
    assert await outcome(floor, third) == ("deflected", "diverted", "deflected")


async def test_after_a_start_nobody_is_let_go_until_desks_had_time_to_show_up(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await floor.open(org("if_nobody: overflow"))
    call = await floor.ring(waited_s=10)
    matcher = floor.dispatcher
    await matcher._sweep_once()
    assert await outcome(floor, call) == (None, "queued", None)
    monkeypatch.setattr(dispatcher, "STEADY_S", 0)
    await matcher._sweep_once()
    assert await outcome(floor, call) == ("deflected", "diverted", "deflected")


async def test_a_pass_that_read_the_item_before_it_moved_offers_it_to_nobody(floor: Floor) -> None:
    await floor.open(org("max_wait_s: 60, to: sales"))
    await floor.arrive("ava")
    call = await floor.ring(waited_s=61)

    async def late(tx: Tx) -> dispatcher.Pass:
        read = await read_and_decide(tx.conn, POOL, tx.now)
        assert [p.item.id for p in read.decision.proposals] == [call.item_id]
        await sweep(floor)
        return await apply_decision(tx, POOL, read)

    assert await floor.transact(late) == dispatcher.BUSY
    assert await floor.dispatch() == [], "Ava does not serve sales"


async def test_r09_who_was_let_go_stays_let_go_whatever_telephony_says_later(floor: Floor) -> None:
    await floor.open(org("max_waiting: 1"))
    await floor.ring()
    call = await floor.ring()
    before = await floor.row("SELECT * FROM calls WHERE id = $1", call.call_id)
    assert before["outcome"] == "deflected"
    await floor.hang_up(call)
    await floor.transact(lambda tx: overflow_due(tx, call.item_id, 1))
    assert await floor.row("SELECT * FROM calls WHERE id = $1", call.call_id) == before
    assert len(await floor.events("call.ended")) == 1


async def test_a_queue_that_only_alerts_keeps_its_callers(floor: Floor) -> None:
    await floor.open(org("if_nobody: alert"))
    call = await floor.ring()
    await sweep(floor)
    assert await outcome(floor, call) == (None, "queued", None)
    figures = {row["key"]: row["is_deserted"] for row in await floor.fetch(sql.QUEUE_FIGURES)}
    assert figures == {"support": True, "sales": False, "de": False}
    await floor.arrive("ava")
    assert not any(row["is_deserted"] for row in await floor.fetch(sql.QUEUE_FIGURES))


async def test_the_sweep_lets_go_by_itself(floor: Floor) -> None:
    await floor.open(org("max_wait_s: 60"))
    call = await floor.ring(waited_s=61)
    await floor.dispatcher._sweep_once()
    assert await outcome(floor, call) == ("deflected", "diverted", "deflected")


async def test_it_is_said_why_and_where_to(floor: Floor) -> None:
    await floor.open(org("max_waiting: 1, to: sales", "max_waiting: 1"))
    await floor.ring()
    await floor.ring()
    third = await floor.ring()
    rows = await floor.fetch(sql.OVERFLOWS_OF_ITEM, third.item_id)
    said = [overflowed(row["name"], row["reason"], row["waited_s"], row["next_name"]) for row in rows]
    assert [each["en"] for each in said] == [
        "Left the queue Support after 0 s, because it was full; went on to Sales.",
        "Left the queue Sales after 0 s, because it was full; the caller was told that we call back.",
    ]
    assert said[1]["zh-CN"] == "在队列Sales等待0秒后离开，因为队列已满；已告知来电者将回电。"


@pytest.mark.parametrize(
    ("support", "sales", "message"),
    [
        (
            "max_waiting: 1, to: sales",
            "max_waiting: 1, to: support",
            "goes round in a circle: support → sales → support",
        ),
        ("max_waiting: 1, to: support", "", "goes round in a circle: support → support"),
        ("max_waiting: 1, to: attic", "", "there is no queue 'attic'"),
        ("to: sales", "", "is never used: say max_waiting, max_wait_s or if_nobody: overflow"),
        ("max_waiting: 0", "", "greater than or equal to 1"),
    ],
)
def test_an_overflow_that_cannot_be_meant_is_refused(support: str, sales: str, message: str) -> None:
    with pytest.raises(OrgFileInvalid, match="overflow") as refused:
        parse_org(org(support, sales))
    assert message in str(refused.value)


async def test_a_queue_that_goes_away_is_nobodys_overflow_any_more(floor: Floor) -> None:
    await floor.open(org("max_waiting: 1, to: sales"))
    await floor.open(org("max_waiting: 1"))
    assert await floor.value("SELECT overflow_to FROM queues WHERE key = 'support'") is None
    await floor.ring()
    assert await outcome(floor, await floor.ring()) == ("deflected", "diverted", "deflected")
