"""What a call does to its ticket when it ends, and moving a call to another ticket."""

import asyncio
from datetime import timedelta

import pytest

from core.events import CallAttached
from core.ids import CallId, TicketId
from core.principal import SYSTEM, Role
from infra.outbox import Outbox, Tx
from tests.builders import a_customer
from tests.integration.ticketing import given
from ticketing import service
from ticketing.model import TicketNotFound, TicketState

MARIA = given.number("+14155550100")


# --- the end -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "wait_s", "state", "reason"),
    [
        ("abandoned_queue", 4.9, "closed", "short_abandon"),
        ("abandoned_ringing", 0.0, "closed", "short_abandon"),
        ("abandoned_queue", 5.0, "new", None),
        ("abandoned_queue", 60.0, "new", None),
        ("abandoned_queue", None, "new", None),
        ("answered", 3.0, "open", None),
        ("failed", 1.0, "new", None),
    ],
)
async def test_how_a_call_ends_decides_about_its_fresh_ticket(
    tx: Tx, outcome: str, wait_s: float | None, state: str, reason: str | None
) -> None:
    bound = await given.a_bound_call(tx)
    await service.on_call_ended(tx, given.ended(bound.call_id, outcome, wait_s=wait_s, at=tx.now))
    ticket = await given.summary(tx, bound.ticket_id)
    assert (ticket.state, await given.close_reason(tx, ticket.id)) == (state, reason)
    told = await given.history(tx.conn, ticket.id)
    assert told[1] == ("call_ended", {"call_id": bound.call_id, "outcome": outcome, "wait_s": wait_s})
    assert given.changes_published(tx, ticket.id) == [2]
    assert await given.audited(tx, ticket.id) == ["ticket.call_ended"]


async def test_the_queue_says_what_is_short(tx: Tx) -> None:
    await given.a_queue(tx, "support", short_abandon_s=10)
    bound = await given.a_bound_call(tx)
    await service.on_call_ended(tx, given.ended(bound.call_id, "abandoned_queue", wait_s=9.0, at=tx.now))
    assert (await given.summary(tx, bound.ticket_id)).state == "closed"


async def test_delivered_again_changes_nothing(tx: Tx) -> None:
    bound = await given.a_bound_call(tx)
    for _ in range(2):
        await service.on_call_ended(tx, given.ended(bound.call_id, "answered", at=tx.now))
    assert (await given.summary(tx, bound.ticket_id)).version == 2
    assert [kind for kind, _ in await given.history(tx.conn, bound.ticket_id)] == [
        "opened",
        "call_ended",
        "state_changed",
    ]


async def test_a_call_without_a_ticket_is_nothing_to_do(tx: Tx) -> None:
    await service.on_call_ended(tx, given.ended(CallId(10**12), "abandoned_ivr", wait_s=1.0, at=tx.now))
    assert tx.events == []


async def test_a_short_call_of_a_ticket_with_work_leaves_it_open(tx: Tx) -> None:
    """Attached, noted, assigned, retagged: a ticket somebody works on is not closed by a hang-up."""
    agent = await given.a_person(tx)
    by = given.actor(agent)
    await a_customer(tx, phone="+14155550100")
    first = await given.a_bound_call(tx, MARIA)
    attached = await given.a_bound_call(tx, MARIA)
    noted, assigned, tagged = [await given.a_bound_call(tx) for _ in range(3)]
    await service.add_note(tx, noted.ticket_id, body="Called before", call_id=None, actor=by)
    await service.assign(tx, assigned.ticket_id, agent.user_id, version=1, actor=by)
    await service.change(tx, tagged.ticket_id, {"tags": ("heater",)}, version=1, actor=by)
    for bound in (first, attached, noted, assigned, tagged):
        await service.on_call_ended(tx, given.ended(bound.call_id, "abandoned_queue", wait_s=1.0, at=tx.now))
        assert (await given.summary(tx, bound.ticket_id)).state == "new"


async def test_a_ticket_that_routing_moved_is_still_fresh(tx: Tx) -> None:
    bound = await given.a_bound_call(tx)
    assert await service.set_queue(tx, bound.ticket_id, "vip", actor=SYSTEM) == 2
    await service.on_call_ended(tx, given.ended(bound.call_id, "abandoned_queue", wait_s=1.0, at=tx.now))
    assert await given.close_reason(tx, bound.ticket_id) == "short_abandon"


async def test_hearing_from_the_customer_ends_waiting_for_them(tx: Tx) -> None:
    by = given.actor(await given.a_person(tx))
    answered, other = await given.a_bound_call(tx), await given.a_bound_call(tx)
    await service.change(tx, answered.ticket_id, {"state": TicketState("pending_customer")}, version=1, actor=by)
    await service.change(tx, other.ticket_id, {"state": TicketState("pending_third_party")}, version=1, actor=by)
    for bound in (answered, other):
        await service.on_call_ended(tx, given.ended(bound.call_id, "answered", at=tx.now))
    assert (await given.summary(tx, answered.ticket_id)).state == "open"
    assert (await given.summary(tx, other.ticket_id)).state == "pending_third_party"


# --- moving --------------------------------------------------------------------------------------------------------


async def test_moved_to_an_open_ticket_and_the_empty_fresh_one_is_closed(tx: Tx) -> None:
    lead = await given.a_person(tx, role=Role.SUPERVISOR)
    target, moved = await given.a_bound_call(tx), await given.a_bound_call(tx)
    assert await service.attach_call(tx, moved.call_id, target.ticket_id, actor=given.actor(lead)) == target.ticket_id
    assert await given.close_reason(tx, moved.ticket_id) == "merged_into"
    assert (await given.history(tx.conn, moved.ticket_id))[1:] == [
        ("call_moved_away", {"call_id": moved.call_id, "to_ticket_id": target.ticket_id}),
        ("closed", {"from": "new", "to": "closed", "reason": "merged_into"}),
    ]
    assert (await given.history(tx.conn, target.ticket_id))[1:] == [
        ("call_moved_here", {"call_id": moved.call_id, "from_ticket_id": moved.ticket_id})
    ]
    assert given.changes_published(tx, target.ticket_id) == given.changes_published(tx, moved.ticket_id) == [2]
    assert await given.audited(tx, target.ticket_id) == ["ticket.move_call"]
    (told,) = [event for event in tx.events if isinstance(event, CallAttached)]
    assert (told.call_id, told.from_ticket_id, told.ticket_id, told.version) == (
        moved.call_id, moved.ticket_id, target.ticket_id, 2,
    )  # fmt: skip
    # What ends later belongs to the new ticket.
    await service.on_call_ended(tx, given.ended(moved.call_id, "answered", at=tx.now))
    assert (await given.summary(tx, target.ticket_id)).state == "open"
    assert (await given.summary(tx, moved.ticket_id)).state == "closed"


async def test_a_ticket_with_work_stays_open_without_its_call(tx: Tx) -> None:
    lead = await given.a_person(tx, role=Role.SUPERVISOR)
    target, moved = await given.a_bound_call(tx), await given.a_bound_call(tx)
    await service.add_note(tx, moved.ticket_id, body="Two heaters", call_id=moved.call_id, actor=given.actor(lead))
    await service.attach_call(tx, moved.call_id, target.ticket_id, actor=given.actor(lead))
    assert (await given.summary(tx, moved.ticket_id)).state == "new"


async def test_a_new_issue_of_the_same_customer_gets_its_own_ticket(tx: Tx) -> None:
    lead = await given.a_person(tx, role=Role.SUPERVISOR)
    card = await a_customer(tx, name="Maria Lopez", phone="+14155550100")
    first = await given.a_bound_call(tx, MARIA)
    call_id = await given.a_stored_call(tx, language="zh-CN")
    await given.a_bound_call(tx, MARIA, call_id=call_id)
    new_id = await service.attach_call(tx, call_id, None, actor=given.actor(lead))
    ticket = await given.summary(tx, new_id)
    assert new_id != first.ticket_id
    assert ticket.customer is not None
    assert (ticket.subject, ticket.queue, ticket.customer.id, ticket.state) == (
        "来电：Maria Lopez",
        "support",
        card.id,
        "new",
    )
    assert (await given.summary(tx, first.ticket_id)).state == "new"
    again = await service.attach_call(tx, call_id, None, actor=given.actor(lead))
    assert again == new_id, "it has a new one of its own now"


async def test_attached_to_a_resolved_ticket_reopens_it(tx: Tx) -> None:
    by = given.actor(await given.a_person(tx, role=Role.SUPERVISOR))
    target, moved = await given.a_bound_call(tx), await given.a_bound_call(tx)
    await service.change(tx, target.ticket_id, {"state": TicketState("resolved")}, version=1, actor=by)
    await service.attach_call(tx, moved.call_id, target.ticket_id, actor=by)
    assert (await given.summary(tx, target.ticket_id)).state == "open"


async def test_moved_while_wrapping_up(tx: Tx) -> None:
    """The call is over and answered: the ticket it leaves is closed, the one it comes to is open."""
    by = given.actor(await given.a_person(tx, role=Role.SUPERVISOR))
    target, moved = await given.a_bound_call(tx), await given.a_bound_call(tx)
    await service.on_call_ended(tx, given.ended(moved.call_id, "answered", at=tx.now))
    await service.attach_call(tx, moved.call_id, target.ticket_id, actor=by)
    assert (await given.summary(tx, target.ticket_id)).state == "open"
    assert await given.close_reason(tx, moved.ticket_id) == "merged_into"
    fresh_id = await service.attach_call(tx, moved.call_id, None, actor=by)
    assert (await given.summary(tx, fresh_id)).state == "open"
    await service.attach_call(tx, moved.call_id, target.ticket_id, actor=by)
    assert await given.close_reason(tx, fresh_id) == "merged_into"
    assert (await given.summary(tx, target.ticket_id)).state == "open", "had another call, so it is never emptied"


async def test_refusals(tx: Tx) -> None:
    lead = await given.a_person(tx, role=Role.SUPERVISOR)
    agent = await given.a_person(tx)
    target, moved = await given.a_bound_call(tx), await given.a_bound_call(tx)
    with pytest.raises(service.CallHasNoTicket):
        await service.attach_call(tx, CallId(10**12), target.ticket_id, actor=given.actor(lead))
    with pytest.raises(TicketNotFound):
        await service.attach_call(tx, moved.call_id, TicketId(10**12), actor=given.actor(lead))
    with pytest.raises(TicketNotFound):
        await service.attach_call(tx, moved.call_id, target.ticket_id, actor=given.actor(agent))
    await service.change(tx, target.ticket_id, {"state": TicketState("closed")}, version=1, actor=given.actor(lead))
    with pytest.raises(service.TicketClosed):
        await service.attach_call(tx, moved.call_id, target.ticket_id, actor=given.actor(lead))
    assert (await given.summary(tx, moved.ticket_id)).version == 1


@pytest.mark.usefixtures("clean")
async def test_moved_there_and_back_and_ended_at_the_same_moment_is_told_once(outbox: Outbox) -> None:
    async with outbox.transaction() as tx:
        lead = await given.a_person(tx, role=Role.SUPERVISOR)
        one, other = await given.a_bound_call(tx), await given.a_bound_call(tx)
        for each in (one, other):
            await service.add_note(tx, each.ticket_id, body="Keep", call_id=None, actor=given.actor(lead))

    async def move(ticket_id: TicketId) -> None:
        await outbox.transact(lambda tx: service.attach_call(tx, one.call_id, ticket_id, actor=given.actor(lead)))

    async def end() -> None:
        event = given.ended(one.call_id, "answered", at=tx.now + timedelta(seconds=9))
        await outbox.transact(lambda tx: service.on_call_ended(tx, event))

    await asyncio.gather(move(other.ticket_id), end(), move(one.ticket_id), end(), move(other.ticket_id))
    async with outbox.transaction() as tx:
        told = [kind for each in (one, other) for kind, _ in await given.history(tx.conn, each.ticket_id)]
        row = await tx.conn.fetchrow("SELECT * FROM ticket_calls WHERE call_id = $1", one.call_id)
    assert told.count("call_ended") == 1
    assert told.count("call_moved_here") == told.count("call_moved_away")
    assert row is not None
    assert row["outcome"] == "answered"
