"""Changing tickets: versions, merges of other fields, references, notes, timers."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from core.errors import Invalid
from core.ids import CustomerId, TicketId
from core.principal import SYSTEM, Role
from infra.outbox import Outbox, Tx
from tests.builders import a_customer, a_user
from tests.integration.ticketing import given
from ticketing import queries, service
from ticketing.model import IllegalTransition, Priority, TicketNotFound, TicketState, TicketVersionConflict

S = TicketState


async def test_a_change_is_stored_told_published_and_audited(tx: Tx) -> None:
    by = given.actor(await given.a_person(tx))
    ticket_id = (await given.a_bound_call(tx)).ticket_id
    await service.change(tx, ticket_id, {"priority": Priority.HIGH, "tags": ("heater", "vip")}, version=1, actor=by)
    ticket = await given.summary(tx, ticket_id)
    assert (ticket.priority, ticket.tags, ticket.version) == ("high", ["heater", "vip"], 2)
    assert (await given.history(tx.conn, ticket_id))[1:] == [
        ("priority_changed", {"from": "normal", "to": "high"}),
        ("tags_changed", {"from": [], "to": ["heater", "vip"]}),
    ]
    assert given.changes_published(tx, ticket_id) == [2]
    assert await given.audited(tx, ticket_id) == ["ticket.update"]


async def test_what_is_so_already_changes_nothing_whatever_the_version(tx: Tx) -> None:
    by = given.actor(await given.a_person(tx))
    ticket_id = (await given.a_bound_call(tx)).ticket_id
    for _ in range(2):
        await service.change(tx, ticket_id, {"priority": Priority.HIGH}, version=1, actor=by)
    assert (await given.summary(tx, ticket_id)).version == 2


async def test_other_fields_merge_and_the_same_field_is_a_conflict(tx: Tx) -> None:
    by = given.actor(await given.a_person(tx))
    ticket_id = (await given.a_bound_call(tx)).ticket_id
    await service.change(tx, ticket_id, {"priority": Priority.HIGH}, version=1, actor=by)
    await service.add_note(tx, ticket_id, body="Waiting", call_id=None, actor=by)
    await service.change(tx, ticket_id, {"state": S.OPEN}, version=1, actor=by)
    assert (await given.summary(tx, ticket_id)).state == "open"
    with pytest.raises(TicketVersionConflict) as caught:
        await service.change(tx, ticket_id, {"priority": Priority.LOW, "state": S.CLOSED}, version=2, actor=by)
    assert caught.value.fields["conflicting"] == ["state"]
    current = caught.value.fields["current"]
    assert isinstance(current, dict)
    assert (current["state"], current["priority"], current["version"]) == ("open", "high", 4)
    ticket = await given.summary(tx, ticket_id)
    assert (ticket.priority, ticket.version) == ("high", 4)


@pytest.mark.usefixtures("clean")
async def test_two_people_at_the_same_moment_have_one_winner(outbox: Outbox) -> None:
    async with outbox.transaction() as tx:
        by = given.actor(await given.a_person(tx))
        ticket_id = (await given.a_bound_call(tx)).ticket_id

    async def set_priority(priority: Priority) -> Priority | None:
        try:
            async with outbox.transaction() as tx:
                await service.change(tx, ticket_id, {"priority": priority}, version=1, actor=by)
        except TicketVersionConflict:
            return None
        return priority

    results = await asyncio.gather(set_priority(Priority.HIGH), set_priority(Priority.LOW))
    (winner,) = [each for each in results if each is not None]
    async with outbox.transaction() as tx:
        ticket = await given.summary(tx, ticket_id)
    assert (ticket.priority, ticket.version) == (winner, 2)


async def test_a_version_from_the_future_is_a_conflict(tx: Tx) -> None:
    by = given.actor(await given.a_person(tx))
    ticket_id = (await given.a_bound_call(tx)).ticket_id
    with pytest.raises(TicketVersionConflict):
        await service.change(tx, ticket_id, {"priority": Priority.HIGH}, version=7, actor=by)


async def test_an_illegal_transition_names_the_legal_ones_and_changes_nothing(tx: Tx) -> None:
    by = given.actor(await given.a_person(tx))
    ticket_id = (await given.a_bound_call(tx)).ticket_id
    await service.change(tx, ticket_id, {"state": S.CLOSED}, version=1, actor=by)
    with pytest.raises(IllegalTransition) as caught:
        await service.change(tx, ticket_id, {"state": S.RESOLVED, "priority": Priority.LOW}, version=2, actor=by)
    assert caught.value.fields["legal"] == ["open"]
    assert (await given.summary(tx, ticket_id)).priority == "normal"
    await service.change(tx, ticket_id, {"state": S.OPEN}, version=2, actor=by)
    assert await given.close_reason(tx, ticket_id) is None


@pytest.mark.parametrize("wanted", [{"queue": "nowhere"}, {"customer_id": CustomerId(10**12)}, {"assignee_id": 10**12}])
async def test_references_must_exist(tx: Tx, wanted: dict[str, Any]) -> None:
    by = given.actor(await given.a_person(tx))
    ticket_id = (await given.a_bound_call(tx)).ticket_id
    with pytest.raises(Invalid) as caught:
        await service.change(tx, ticket_id, wanted, version=1, actor=by)
    assert caught.value.fields["errors"][0]["field"] == next(iter(wanted))  # type: ignore[index]
    assert (await given.summary(tx, ticket_id)).version == 1


async def test_references_that_exist_are_taken(tx: Tx) -> None:
    person = await given.a_person(tx, name="Ben Fischer")
    by = given.actor(person)
    await given.a_queue(tx, "sales")
    card = await a_customer(tx, name="Maria Lopez")
    ticket_id = (await given.a_bound_call(tx)).ticket_id
    wanted = {"queue": "sales", "customer_id": card.id, "assignee_id": person.user_id}
    await service.change(tx, ticket_id, wanted, version=1, actor=by)
    ticket = await queries.ticket(tx.conn, ticket_id=ticket_id, principal=person)
    assert ticket.assignee is not None
    assert ticket.customer is not None
    assert (ticket.queue, ticket.assignee.name, ticket.customer.name) == ("sales", "Ben Fischer", "Maria Lopez")
    assert ticket.subject == "Call from Maria Lopez", "a subject that the call gave follows the customer"
    shown = {entry.kind: entry.data for entry in ticket.history}
    assert shown["assigned"] == {"from": None, "to": {"id": person.user_id, "name": "Ben Fischer"}}
    assert shown["customer_changed"] == {"from": None, "to": {"id": card.id, "name": "Maria Lopez"}}


@pytest.mark.parametrize(("role", "is_active"), [(Role.AUDITOR, True), (Role.INTEGRATION, True), (Role.AGENT, False)])
async def test_only_people_who_work_can_have_tickets(tx: Tx, role: Role, is_active: bool) -> None:
    by = given.actor(await given.a_person(tx))
    user = await a_user(tx, role=role, is_active=is_active)
    ticket_id = (await given.a_bound_call(tx)).ticket_id
    with pytest.raises(Invalid):
        await service.assign(tx, ticket_id, user.id, version=1, actor=by)


async def test_assigned_and_taken_away(tx: Tx) -> None:
    person = await given.a_person(tx)
    ticket_id = (await given.a_bound_call(tx)).ticket_id
    await service.assign(tx, ticket_id, person.user_id, version=1, actor=given.actor(person))
    assert (await given.summary(tx, ticket_id)).assignee is not None
    await service.assign(tx, ticket_id, None, version=2, actor=given.actor(person))
    assert (await given.summary(tx, ticket_id)).assignee is None


async def test_the_chosen_candidate_gets_onto_the_ticket_and_into_its_subject(tx: Tx) -> None:
    by = given.actor(await given.a_person(tx))
    anna = await a_customer(tx, name="Anna", phone="+14155550100", is_shared=True)
    ben = await a_customer(tx, name="Ben", phone="+14155550100", is_shared=True)
    ticket_id = (await given.a_bound_call(tx, given.number("+14155550100"))).ticket_id
    for card in (anna, ben, ben):
        await service.attach_customer(tx, ticket_id, card.id, actor=by)
        assert (await given.summary(tx, ticket_id)).subject == f"Call from {card.name}"
    assert (await given.summary(tx, ticket_id)).version == 3
    assert await given.audited(tx, ticket_id) == ["ticket.attach_customer"] * 2
    with pytest.raises(Invalid):
        await service.attach_customer(tx, ticket_id, CustomerId(10**12), actor=by)
    with pytest.raises(TicketNotFound):
        await service.attach_customer(tx, TicketId(10**12), anna.id, actor=by)


async def test_a_subject_that_people_wrote_stays(tx: Tx) -> None:
    by = given.actor(await given.a_person(tx))
    card = await a_customer(tx, name="Anna")
    ticket_id = (await given.a_bound_call(tx)).ticket_id
    await service.change(tx, ticket_id, {"subject": "Broken heater"}, version=1, actor=by)
    await service.attach_customer(tx, ticket_id, card.id, actor=by)
    assert (await given.summary(tx, ticket_id)).subject == "Broken heater"
    assert ("subject_changed", {}) in await given.history(tx.conn, ticket_id)


async def test_opened_by_hand(tx: Tx) -> None:
    by = given.actor(await given.a_person(tx))
    await given.a_queue(tx)
    card = await a_customer(tx)
    made = await service.create(
        tx, subject="Letter", queue="support", customer_id=card.id, priority=Priority.URGENT, actor=by
    )
    ticket = await given.summary(tx, made.id)
    assert (ticket.subject, ticket.state, ticket.priority, ticket.version) == ("Letter", "new", "urgent", 1)
    assert await given.audited(tx, made.id) == ["ticket.create"]
    for queue, customer_id in (("nowhere", None), ("support", CustomerId(10**12))):
        with pytest.raises(Invalid):
            await service.create(
                tx, subject="Letter", queue=queue, customer_id=customer_id, priority=Priority.LOW, actor=by
            )


async def test_a_note_names_its_author_and_call(tx: Tx) -> None:
    person = await given.a_person(tx, "support", name="Ava Chen")
    bound = await given.a_bound_call(tx)
    note = await service.add_note(
        tx, bound.ticket_id, body="Will call back", call_id=bound.call_id, actor=given.actor(person)
    )
    assert note.author is not None
    assert (note.body, note.author.name, note.call_id) == ("Will call back", "Ava Chen", bound.call_id)
    ticket = await queries.ticket(tx.conn, ticket_id=bound.ticket_id, principal=person)
    assert ticket.notes == [note]
    assert ticket.version == 2
    assert given.changes_published(tx, ticket.id) == [2]
    by_system = await service.add_note(tx, bound.ticket_id, body="Imported", call_id=None, actor=SYSTEM)
    assert by_system.author is None
    with pytest.raises(TicketNotFound):
        await service.add_note(tx, TicketId(10**12), body="?", call_id=None, actor=SYSTEM)


async def test_routing_moves_a_ticket_in_one_statement_and_only_once(tx: Tx) -> None:
    ticket_id = (await given.a_bound_call(tx)).ticket_id
    assert await service.set_queue(tx, ticket_id, "vip", actor=SYSTEM) == 2
    assert await service.set_queue(tx, ticket_id, "vip", actor=SYSTEM) is None
    assert (await given.summary(tx, ticket_id)).queue == "vip"
    assert (await given.history(tx.conn, ticket_id))[1:] == [("queue_changed", {"from": "support", "to": "vip"})]
    assert given.changes_published(tx, ticket_id) == [2]


# --- put off until -------------------------------------------------------------------------------------------------


async def _timers(tx: Tx) -> list[tuple[int, int]]:
    rows = await tx.conn.fetch("SELECT object_id, object_version FROM timers WHERE kind = 'ticketing.due'")
    return [(row["object_id"], row["object_version"]) for row in rows]


async def test_put_off_comes_back_when_it_is_due(tx: Tx) -> None:
    by = given.actor(await given.a_person(tx))
    ticket_id = (await given.a_bound_call(tx)).ticket_id
    due = tx.now + timedelta(hours=2)
    await service.change(tx, ticket_id, {"state": S.PENDING_UNTIL, "due_at": due}, version=1, actor=by)
    assert await _timers(tx) == [(ticket_id, 2)]
    await service.TIMERS[service.DUE_TIMER](tx, ticket_id, 2)
    assert (await given.summary(tx, ticket_id)).state == "pending_until", "too early"
    tx.now = due
    for _ in range(2):
        await service.TIMERS[service.DUE_TIMER](tx, ticket_id, 2)
    ticket = await given.summary(tx, ticket_id)
    assert (ticket.state, ticket.version) == ("open", 3)


async def test_a_new_time_moves_the_timer_and_another_state_ends_it(tx: Tx) -> None:
    by = given.actor(await given.a_person(tx))
    ticket_id = (await given.a_bound_call(tx)).ticket_id
    await service.change(tx, ticket_id, {"state": S.PENDING_UNTIL}, version=1, actor=by)
    await service.change(tx, ticket_id, {"due_at": tx.now + timedelta(days=7)}, version=2, actor=by)
    assert await _timers(tx) == [(ticket_id, 3)]
    await service.change(tx, ticket_id, {"state": S.OPEN}, version=3, actor=by)
    assert await _timers(tx) == []
    with pytest.raises(Invalid):
        await service.change(
            tx, ticket_id, {"state": S.PENDING_UNTIL, "due_at": tx.now - timedelta(hours=1)}, version=4, actor=by
        )
