"""Into the line: once per call, where the rules say, in their order; and steps that open while somebody waits."""

from datetime import UTC, datetime

import pytest

from core.events import CallQueued, TicketBound
from core.phone import Number, NumberKind
from customers.model import Tier
from infra.outbox import Tx, publish
from routing import rule_sets, service
from tests.builders import a_customer
from tests.integration.routing.floor import Floor, Waiting

RULES = """
- name: VIP
  when: {field: customer.tier, op: "==", value: vip}
  then: {tier: 2, steps: [{after_s: 0, require: [{skill: billing, level: 3}]}, {after_s: 30, require: [{skill: billing}]}, {after_s: 60}]}
- name: Germans
  when: {field: call.language, op: "==", value: de}
  then: {queue: de}
- name: Known
  when: {field: ticket.is_new, op: "==", value: false}
  then: {boost_s: 60}
- name: Hidden
  when: {field: customer.match, op: "==", value: withheld}
  then: {queue: sales}
- name: Everybody
"""
VIP = "+14155550177"


async def a_vip(floor: Floor) -> None:
    await floor.transact(lambda tx: a_customer(tx, phone=VIP, tier=Tier.VIP))


async def test_a_call_has_one_item_however_often_it_is_told(floor: Floor) -> None:
    await floor.open()
    call = await floor.ring()
    entered_at = (await floor.item(call))["entered_at"]

    async def again(tx: Tx) -> None:
        number = Number(NumberKind.E164, "+14155550100", "+14155550100")
        await publish(
            tx,
            CallQueued(
                call_id=call.call_id, version=9, queue="sales", entered_at=datetime.now(UTC), caller=number, to_number="x"
            ),
        )  # fmt: skip

    await floor.transact(again)
    rows = await floor.fetch("SELECT queue, entered_at FROM work_items")
    assert rows == [{"queue": "support", "entered_at": entered_at}]
    assert await floor.value("SELECT count(*) FROM stints") == 1
    assert len(await floor.events("work.queued")) == 1


async def test_rules_choose_queue_tier_boost_and_steps(floor: Floor) -> None:
    await floor.open(rules=RULES)
    await a_vip(floor)

    async def item(call: Waiting) -> tuple[str, str, int, int, int]:
        row = await floor.item(call)
        return row["rule"], row["queue"], row["tier"], row["boost_s"], len(row["steps"])

    assert await item(await floor.ring(from_=VIP)) == ("VIP", "support", 2, 0, 3)
    assert await item(await floor.ring(language="de")) == ("Germans", "de", 0, 0, 0)
    assert await item(await floor.ring(from_=None)) == ("Hidden", "sales", 0, 0, 0)
    assert await item(await floor.ring("sales")) == ("Everybody", "sales", 0, 0, 0)
    await floor.transact(lambda tx: a_customer(tx, phone="+14155550178"))
    assert await item(await floor.ring(from_="+14155550178")) == ("Everybody", "support", 0, 0, 0)
    known = await floor.ring(from_="+14155550178")
    assert await item(known) == ("Known", "support", 0, 60, 0)
    row = await floor.item(known)
    assert (row["entered_at"] - row["virtual_start"]).total_seconds() == 60


async def test_a_new_ticket_takes_the_resulting_queue_an_attached_one_keeps_its_own(floor: Floor) -> None:
    await floor.open(rules=RULES)
    new = await floor.ring(language="de")
    assert await floor.value("SELECT queue FROM tickets WHERE id = $1", new.ticket_id) == "de"
    await floor.transact(lambda tx: a_customer(tx, phone="+14155550178"))
    first = await floor.ring(from_="+14155550178")
    second = await floor.ring(from_="+14155550178", language="de")
    assert first.ticket_id == second.ticket_id
    assert await floor.value("SELECT queue FROM tickets WHERE id = $1", second.ticket_id) == "support"
    assert (await floor.item(second))["queue"] == "de"


async def test_an_item_names_the_version_of_the_rules_it_came_in_by(floor: Floor) -> None:
    await floor.open(rules=RULES)
    before = await floor.ring()
    await floor.open(rules="- {name: New times, then: {tier: 5}}")
    after = await floor.ring()
    old, new = await floor.item(before), await floor.item(after)
    assert (old["ruleset_version"], old["rule"], old["tier"]) == (1, "Everybody", 0)
    assert (new["ruleset_version"], new["rule"], new["tier"]) == (2, "New times", 5)


async def test_a_version_that_was_rolled_back_leaves_nothing_behind(floor: Floor) -> None:
    """The same number, other rules: what was compiled for the first is not used for the second."""
    await floor.open(rules="- {name: First}")

    async def try_out(tx: Tx) -> str:
        version = await rule_sets.add_rule_set(tx, [{"name": "Tried"}], origin="api", by="test")
        await rule_sets.publish_rule_set(tx, version)
        await publish(tx, a_bound_call())
        return str(await tx.conn.fetchval("SELECT rule FROM work_items"))

    def a_bound_call() -> TicketBound:
        return TicketBound(
            call_id=10**9, ticket_id=1, version=1, is_new=False, queue="support", entered_at=datetime.now(UTC), customer_id=None,
            match="none",
        )  # fmt: skip

    class Rollback(Exception):
        pass

    async def and_roll_back(tx: Tx) -> None:
        assert await try_out(tx) == "Tried"
        raise Rollback

    with pytest.raises(Rollback):
        await floor.transact(and_roll_back)
    await floor.open(rules="- {name: Second}")
    call = await floor.ring()
    item = await floor.item(call)
    assert (item["ruleset_version"], item["rule"]) == (2, "Second")


@pytest.mark.parametrize(
    ("zone", "at", "rule"),
    [
        ("UTC", datetime(2026, 3, 2, 8, 59, 59, tzinfo=UTC), "Closed"),
        ("UTC", datetime(2026, 3, 2, 9, 0, tzinfo=UTC), "Monday"),
        ("Asia/Shanghai", datetime(2026, 3, 2, 1, 0, tzinfo=UTC), "Monday"),
        ("Asia/Shanghai", datetime(2026, 3, 2, 9, 0, tzinfo=UTC), "Closed"),
        ("America/Los_Angeles", datetime(2026, 3, 3, 0, 30, tzinfo=UTC), "Monday"),
        ("Europe/Berlin", datetime(2026, 7, 6, 7, 0, tzinfo=UTC), "Monday"),
        ("Europe/Berlin", datetime(2026, 1, 5, 7, 0, tzinfo=UTC), "Closed"),
    ],
)
async def test_rules_tell_the_time_of_the_dialled_queue(floor: Floor, zone: str, at: datetime, rule: str) -> None:
    org = f"queues: [{{key: support, name: {{en: Support}}, time_zone: {zone}}}]\n"
    hours = '{field: time.clock, op: within_hours, value: ["09:00", "17:00"]}'
    monday = '{field: time.weekday, op: "==", value: 1}'
    await floor.open(org, rules=f"- {{name: Monday, when: {{all: [{hours}, {monday}]}}}}\n- {{name: Closed}}")

    async def bound(tx: Tx) -> None:
        await publish(
            tx,
            TicketBound(
                call_id=10**9, ticket_id=1, version=1, is_new=False, queue="support", entered_at=at, customer_id=None, match="none"
            ),
        )  # fmt: skip

    await floor.transact(bound)
    assert await floor.value("SELECT rule FROM work_items") == rule


async def test_without_rules_a_call_waits_in_its_numbers_queue(floor: Floor) -> None:
    await floor.open()
    await floor.execute("DELETE FROM rule_sets")
    item = await floor.item(await floor.ring("sales"))
    assert (item["queue"], item["rule"], item["ruleset_version"]) == ("sales", "default", 0)


async def test_a_queue_that_is_gone_turns_nobody_away(floor: Floor) -> None:
    await floor.open(rules="- {name: all, then: {queue: de}}")
    await floor.execute("UPDATE queues SET is_active = false WHERE key = 'de'")
    assert (await floor.item(await floor.ring("sales")))["queue"] == "sales"
    await floor.execute("UPDATE queues SET is_active = false WHERE key = 'sales'")
    assert (await floor.item(await floor.ring("sales")))["queue"] == "support"


async def test_the_line_is_served_in_its_order(floor: Floor) -> None:
    """Tier, then virtual start (entry less boost), then entry, across the queues of one pool."""
    await floor.open(rules=RULES)
    await a_vip(floor)
    await floor.transact(lambda tx: a_customer(tx, phone="+14155550178"))
    await floor.ring(from_="+14155550178", waited_s=1)
    await floor.execute("UPDATE work_items SET state = 'done', end_reason = 'test', ended_at = now()")
    await floor.execute("UPDATE stints SET outcome = 'closed', left_at = now()")
    old = await floor.ring(waited_s=50)
    older = await floor.ring("sales", waited_s=55)
    boosted = await floor.ring(from_="+14155550178", waited_s=2)
    vip = await floor.ring(from_=VIP, waited_s=61)
    await floor.arrive("ben")
    order = []
    for _ in range(4):
        ((_, item),) = await floor.dispatch()
        order.append(item)
        await floor.accept("ben")
        call = next(call for call in (old, older, boosted, vip) if call.item_id == item)
        await floor.hang_up(call)
    assert order == [vip.item_id, boosted.item_id, older.item_id, old.item_id]


async def test_a_step_that_opens_lets_others_serve(floor: Floor) -> None:
    await floor.open(rules=RULES)
    await a_vip(floor)
    await floor.arrive("chen", "ben")
    call = await floor.ring(from_=VIP)
    assert await floor.dispatch() == []
    due = await floor.timer_due_in(service.STEP_TIMER, call.item_id)
    assert due is not None
    assert 28 < due <= 30
    await floor.execute(
        "UPDATE work_items SET entered_at = entered_at - interval '31 s', virtual_start = virtual_start - interval '31 s'"
    )
    await floor.execute("UPDATE stints SET entered_at = entered_at - interval '31 s'")
    wakes = len(await floor.events("work.queued"))
    await floor.run_timer(service.STEP_TIMER, call.item_id)
    assert len(await floor.events("work.queued")) == wakes + 1
    due = await floor.timer_due_in(service.STEP_TIMER, call.item_id)
    assert due is not None
    assert 26 < due <= 30, "the next step has its timer"
    assert await floor.dispatch() == [("ben", call.item_id)]
    offer = await floor.offer(await floor.offer_of("ben"))
    assert offer["step"] == 1
    await floor.accept("ben")
    assert await floor.timer_due_in(service.STEP_TIMER, call.item_id) is None


async def test_declining_does_not_put_off_the_next_step(floor: Floor) -> None:
    """The next look is at the earlier of both: a step opens, or the agent may be asked again."""
    await floor.open(rules=RULES)
    await a_vip(floor)
    await floor.arrive("ava")
    call = await floor.ring(from_=VIP, waited_s=25)
    await floor.dispatch()
    await floor.reject("ava")
    due = await floor.timer_due_in(service.STEP_TIMER, call.item_id)
    assert due is not None
    assert due < 5
    await floor.execute(
        "UPDATE work_items SET entered_at = entered_at - interval '9 s', virtual_start = virtual_start - interval '9 s'"
    )
    await floor.run_timer(service.STEP_TIMER, call.item_id)
    due = await floor.timer_due_in(service.STEP_TIMER, call.item_id)
    assert due is not None
    assert 24 < due < 30
    await floor.execute("UPDATE stints SET entered_at = entered_at - interval '9 s'")


async def test_a_stint_has_the_settings_of_its_queue_as_they_were(floor: Floor) -> None:
    await floor.open()
    call = await floor.ring()
    await floor.execute("UPDATE queues SET within_s = 99, target = 0.1, short_abandon_s = 99, zone = 'Asia/Tokyo'")
    stint = await floor.row("SELECT * FROM stints WHERE work_item_id = $1", call.item_id)
    assert (stint["within_s"], stint["short_abandon_s"], stint["zone"], round(stint["target"], 2)) == (
        20,
        5,
        "UTC",
        0.8,
    )
    assert (stint["entered_at"], stint["outcome"]) == ((await floor.item(call))["entered_at"], None)


async def test_what_the_rules_saw_is_kept_with_the_item(floor: Floor) -> None:
    await floor.open(rules=RULES)
    await a_vip(floor)
    call = await floor.ring(from_=VIP)
    facts = (await floor.item(call))["facts"]
    assert (facts["customer.tier"], facts["call.language"], facts["call.queue"]) == ("vip", "en", "support")
    assert (facts["call.from"], facts["customer.match"], facts["ticket.is_new"]) == (VIP, "one", True)
    assert 1 <= facts["time.weekday"] <= 7
    assert None not in facts.values()
