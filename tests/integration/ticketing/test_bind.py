"""A queued call gets its ticket: attached or new, exactly one, whatever happens at the same moment."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime

import pytest

from core.errors import Invalid
from core.events import TicketBound
from core.ids import CallId
from core.phone import Number, NumberKind
from core.principal import SYSTEM
from infra.outbox import Outbox, Tx
from infra.postgres import Database
from tests.builders import a_customer
from tests.integration.ticketing import given
from ticketing import service, writes
from ticketing.model import CloseReason, Priority, TicketState, enter_state
from ticketing.numbers import TicketNumber, check_digit, parse_ticket_number

MARIA = given.number("+14155550100")


async def test_an_unknown_caller_gets_a_new_ticket_without_customer(tx: Tx) -> None:
    bound = await given.a_bound_call(tx, given.number("+14155550111"))
    ticket = await given.summary(tx, bound.ticket_id)
    assert (ticket.subject, ticket.customer, ticket.state, ticket.queue) == (
        "Call from unknown number",
        None,
        "new",
        "support",
    )
    assert (bound.is_new, bound.match, bound.customer_id, bound.version) == (True, "none", None, 1)
    assert bound.facts == {
        "call": {"from": "+14155550111", "from_kind": "e164", "to": "+14155550199", "language": "en"},
        "ticket": {
            "id": ticket.id,
            "is_new": True,
            "priority": "normal",
            "state": "new",
            "tags": [],
            "queue": "support",
        },
        "customer": {},
    }
    assert await given.history(tx.conn, ticket.id) == [("opened", {"call_id": bound.call_id, "match": "none"})]


async def test_the_one_customer_is_on_the_ticket_and_in_the_facts(tx: Tx) -> None:
    card = await a_customer(tx, name="Maria Lopez", phone="+14155550100", company="Acme")
    bound = await given.a_bound_call(tx, MARIA)
    ticket = await given.summary(tx, bound.ticket_id)
    assert ticket.customer is not None
    assert (ticket.subject, ticket.customer.id, bound.customer_id) == ("Call from Maria Lopez", card.id, card.id)
    assert bound.facts["customer"] == {"id": card.id, "tier": "standard", "language": None, "company": "Acme"}


async def test_nothing_personal_is_serialised(tx: Tx) -> None:
    await a_customer(tx, name="Maria Lopez", phone="+14155550100")
    bound = await given.a_bound_call(tx, MARIA)
    assert "facts" not in bound.model_dump()
    assert "+1415" not in bound.model_dump_json()


async def test_a_known_callers_open_ticket_of_this_queue_is_attached(tx: Tx) -> None:
    await a_customer(tx, phone="+14155550100")
    first = await given.a_bound_call(tx, MARIA)
    second = await given.a_bound_call(tx, MARIA)
    assert (second.ticket_id, second.is_new, second.version) == (first.ticket_id, False, 2)
    assert second.facts["ticket"]["is_new"] is False
    assert given.changes_published(tx, first.ticket_id) == [2]
    assert (await given.history(tx.conn, first.ticket_id))[1] == ("bound", {"call_id": second.call_id, "match": "one"})


async def test_another_queue_gets_another_ticket(tx: Tx) -> None:
    await a_customer(tx, phone="+14155550100")
    first = await given.a_bound_call(tx, MARIA)
    second = await given.a_bound_call(tx, MARIA, queue="sales")
    assert second.ticket_id != first.ticket_id
    assert second.is_new


@pytest.mark.parametrize("state", [TicketState.RESOLVED, TicketState.CLOSED])
async def test_a_finished_ticket_is_left_alone(tx: Tx, state: TicketState) -> None:
    await a_customer(tx, phone="+14155550100")
    first = await given.a_bound_call(tx, MARIA)
    await service.change(tx, first.ticket_id, {"state": state}, version=1, actor=given.actor(await given.a_person(tx)))
    second = await given.a_bound_call(tx, MARIA)
    assert second.is_new


async def test_of_several_open_ones_the_one_with_the_latest_activity_is_attached(tx: Tx) -> None:
    await a_customer(tx, phone="+14155550100")
    first = await given.a_bound_call(tx, MARIA)
    other = await service.attach_call(tx, first.call_id, None, actor=given.actor(await given.a_person(tx)))
    assert other == first.ticket_id, "a call that opened its ticket has a new one already"
    await tx.conn.execute("UPDATE tickets SET updated_at = updated_at - interval '1 hour' WHERE id = $1", other)
    newer = await writes.open_ticket(
        tx.conn,
        subject="Bill",
        queue="support",
        customer_id=first.customer_id,
        priority=Priority.NORMAL,
        channel="manual",
        actor=SYSTEM,
        data={},
        now=tx.now,
    )
    assert (await given.a_bound_call(tx, MARIA)).ticket_id == newer.id


@pytest.mark.parametrize(("language", "subject"), [("en", "Call from withheld number"), ("zh-CN", "隐藏号码来电")])
async def test_a_withheld_number_never_shares_a_ticket(tx: Tx, language: str, subject: str) -> None:
    first = await given.a_bound_call(tx, given.WITHHELD, language=language)
    second = await given.a_bound_call(tx, given.WITHHELD, language=language)
    assert first.ticket_id != second.ticket_id
    assert (await given.summary(tx, first.ticket_id)).subject == subject
    assert first.match == "withheld"


@pytest.mark.parametrize("caller", [None, Number(NumberKind.INVALID, "??")])
async def test_a_caller_nobody_can_read_still_gets_a_ticket(tx: Tx, caller: Number | None) -> None:
    assert (await given.a_bound_call(tx, caller)).is_new


async def test_a_shared_number_is_never_attached_by_itself(tx: Tx) -> None:
    await a_customer(tx, name="Anna", phone="+14155550100", is_shared=True)
    first = await given.a_bound_call(tx, MARIA)
    second = await given.a_bound_call(tx, MARIA)
    assert first.ticket_id != second.ticket_id
    assert (first.match, first.customer_id, first.facts["customer"]) == ("many", None, {})
    assert "Anna" not in (await given.summary(tx, first.ticket_id)).subject


async def test_a_call_that_queues_again_keeps_its_ticket(tx: Tx) -> None:
    await a_customer(tx, phone="+14155550100")
    first = await given.a_bound_call(tx, MARIA)
    again = await given.a_bound_call(tx, MARIA, call_id=first.call_id, queue="sales")
    assert (again.ticket_id, again.is_new, again.version) == (first.ticket_id, False, first.version)
    assert again.queue == "sales"
    assert given.changes_published(tx, first.ticket_id) == []


async def test_year_and_number_follow_the_organisations_zone(tx: Tx) -> None:
    tx.now = datetime(2026, 12, 31, 20, tzinfo=UTC)
    utc = await given.a_bound_call(tx)
    await service.set_time_zone(tx, "Asia/Shanghai", actor=SYSTEM)
    shanghai = [await given.a_bound_call(tx) for _ in range(2)]
    numbers = [(await given.summary(tx, bound.ticket_id)).number for bound in (utc, *shanghai)]
    assert [parse_ticket_number(number).year for number in numbers] == [2026, 2027, 2027]
    assert numbers[1:] == ["T-2027-000001-" + numbers[1][-1], "T-2027-000002-" + numbers[2][-1]]


async def test_a_zone_that_does_not_exist_is_refused(tx: Tx) -> None:
    with pytest.raises(Invalid):
        await service.set_time_zone(tx, "Mars/Olympus", actor=SYSTEM)


async def test_the_database_and_python_compute_the_same_numbers(tx: Tx) -> None:
    rows = await tx.conn.fetch(
        """
        SELECT y AS year, s AS seq, ticket_number(y, s) AS number
        FROM generate_series(2000, 2099, 9) y, generate_series(1::bigint, 12000000, 34567) s
        """
    )
    assert len(rows) > 4000
    assert all(row["number"] == str(TicketNumber(row["year"], row["seq"])) for row in rows)
    assert check_digit(2026, 123) == 8


async def test_round_trips_of_binding_are_few(tx: Tx) -> None:
    """At most four for a known caller: who is it, one lock, one write, what was found for the pop (ADR 0019). The year's first ticket costs
    two more."""
    await a_customer(tx, phone="+14155550100")
    await given.a_bound_call(tx)
    counts = []
    for caller in (MARIA, given.number("+14155550122")):
        statements: list[str] = []
        with tx.conn.query_logger(lambda record, seen=statements: seen.append(record.query)):
            await given.a_bound_call(tx, caller)
            await asyncio.sleep(0)  # loggers run a moment later
        counts.append(len(statements))
    assert counts == [4, 3]


# --- at the same moment --------------------------------------------------------------------------------------------


async def _bind(outbox: Outbox, call_id: CallId, caller: Number, barrier: asyncio.Barrier) -> TicketBound:
    async with outbox.transaction() as tx:
        await barrier.wait()
        bound = await given.a_bound_call(tx, caller, call_id=call_id)
        await asyncio.sleep(0.02)  # the lock is held, as by the statements that follow in a real transaction
        return bound


async def _together(*binds: Awaitable[TicketBound]) -> list[TicketBound]:
    return list(await asyncio.gather(*binds))


@pytest.mark.usefixtures("clean")
async def test_the_same_call_twice_at_the_same_moment_has_one_ticket(outbox: Outbox, database: Database) -> None:
    for caller in (MARIA, given.WITHHELD):
        call_id, barrier = given.new_call_id(), asyncio.Barrier(2)
        first, second = await _together(*(_bind(outbox, call_id, caller, barrier) for _ in range(2)))
        assert first.ticket_id == second.ticket_id
        assert sorted([first.is_new, second.is_new]) == [False, True]
        async with database.acquire() as conn:
            assert await conn.fetchval("SELECT count(*) FROM ticket_calls WHERE call_id = $1", call_id) == 1
            assert [kind for kind, _ in await given.history(conn, first.ticket_id)] == ["opened"]
    async with database.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM tickets") == 2


@pytest.mark.usefixtures("clean")
async def test_two_calls_of_one_customer_at_the_same_moment_share_a_ticket(outbox: Outbox) -> None:
    async with outbox.transaction() as tx:
        await a_customer(tx, phone="+14155550100")
    barrier = asyncio.Barrier(4)
    bound = await _together(*(_bind(outbox, given.new_call_id(), MARIA, barrier) for _ in range(4)))
    assert len({each.ticket_id for each in bound}) == 1
    assert sorted(each.is_new for each in bound) == [False, False, False, True]
    assert sorted(each.version for each in bound) == [1, 2, 3, 4]


@pytest.mark.usefixtures("clean")
async def test_strangers_do_not_wait_for_each_other_and_numbers_are_unique(outbox: Outbox, database: Database) -> None:
    async with outbox.transaction() as tx:
        await given.a_bound_call(tx)  # the first of the year
    async with outbox.transaction() as slow:
        await given.a_bound_call(slow)
        async with asyncio.timeout(1):
            async with outbox.transaction() as fast:
                await given.a_bound_call(fast)
    async with database.acquire() as conn:
        numbers = [row["number"] for row in await conn.fetch("SELECT number FROM tickets ORDER BY id")]
    assert len(set(numbers)) == 3
    assert numbers == sorted(numbers)


@pytest.mark.usefixtures("clean")
async def test_an_open_ticket_that_closes_at_this_moment_is_not_attached(outbox: Outbox) -> None:
    async with outbox.transaction() as tx:
        await a_customer(tx, phone="+14155550100")
        first = await given.a_bound_call(tx, MARIA)
    async with outbox.transaction() as closing:
        ticket = (await writes.lock_tickets(closing.conn, ids=[first.ticket_id]))[first.ticket_id]
        waiting = asyncio.create_task(_bind(outbox, given.new_call_id(), MARIA, asyncio.Barrier(1)))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        changes = enter_state(
            ticket.state, TicketState.CLOSED, now=closing.now, due_at=None, reason=CloseReason.BY_HAND
        )
        await service.save(closing, ticket, changes, actor=SYSTEM)
    second = await waiting
    assert second.is_new
    assert second.ticket_id != first.ticket_id
