"""The profile and the timeline: complete, for this reader only, in one query."""

import asyncio
from datetime import timedelta

import pytest

from core.ids import CustomerId
from core.principal import Role
from customers import service as customers
from customers.model import CustomerNotFound
from infra.outbox import Tx
from tests.builders import TESTER, a_customer
from tests.integration.ticketing import given
from ticketing import profile, service
from ticketing.model import TimelineItem

MARIA = given.number("+14155550100")


async def test_card_tickets_and_contacts(tx: Tx) -> None:
    agent = await given.a_person(tx, "support", name="Ava Chen")
    card = await a_customer(tx, name="Maria Lopez", phone="+14155550100", company="Acme")
    call_id = await given.a_stored_call(
        tx,
        agent_id=agent.user_id,
        state="closed",
        outcome="answered",
        disposition="resolved",
        talk_s=61.5,
        at=tx.now - timedelta(hours=1),
    )
    bound = await given.a_bound_call(tx, MARIA, call_id=call_id)
    await given.a_bound_call(tx, MARIA, queue="sales")
    shown = await profile.profile(tx.conn, customer_id=card.id, principal=agent)
    assert (shown.id, shown.name, shown.company, shown.version) == (card.id, "Maria Lopez", "Acme", 1)
    assert [(each.kind, each.value) for each in shown.identities] == [("phone", "+14155550100")]
    assert [ticket.id for ticket in shown.open_tickets] == [bound.ticket_id]
    assert shown.open_tickets[0] == await given.summary(tx, bound.ticket_id)
    assert shown.restricted_tickets == 1
    (contact,) = shown.last_contacts
    assert contact.model_dump() == {
        "call_id": call_id,
        "at": tx.now - timedelta(hours=1),
        "direction": "inbound",
        "outcome": "answered",
        "queue": "support",
        "agent": "Ava Chen",
        "disposition": "resolved",
        "talk_s": 61.5,
    }
    lead = await given.a_person(tx, role=Role.SUPERVISOR)
    everything = await profile.profile(tx.conn, customer_id=card.id, principal=lead)
    assert (len(everything.open_tickets), everything.restricted_tickets, len(everything.last_contacts)) == (2, 0, 2)


async def test_a_customer_without_anything_and_no_customer(tx: Tx) -> None:
    agent = await given.a_person(tx)
    card = await a_customer(tx)
    shown = await profile.profile(tx.conn, customer_id=card.id, principal=agent)
    assert (shown.open_tickets, shown.last_contacts, shown.restricted_tickets) == ([], [], 0)
    with pytest.raises(CustomerNotFound):
        await profile.profile(tx.conn, customer_id=CustomerId(10**12), principal=agent)


async def test_one_query_and_an_edit_is_seen_at_once(tx: Tx) -> None:
    agent = await given.a_person(tx, "support")
    card = await a_customer(tx, name="Maria Lopez", phone="+14155550100", email="maria@example.com")
    await given.a_bound_call(tx, MARIA)
    statements: list[str] = []
    with tx.conn.query_logger(lambda record: statements.append(record.query)):
        before = await profile.profile(tx.conn, customer_id=card.id, principal=agent)
        await asyncio.sleep(0)
    assert len(statements) == 1
    assert [each.value for each in before.identities] == ["+14155550100", "maria@example.com"]
    await customers.update_customer(tx, card.id, version=1, changed={"name": "Marie"}, actor=TESTER)
    after = await profile.profile(tx.conn, customer_id=card.id, principal=agent)
    assert (after.name, after.version) == ("Marie", 2)


async def test_contacts_whose_calls_are_purged_keep_time_and_outcome(tx: Tx) -> None:
    agent = await given.a_person(tx, "support")
    card = await a_customer(tx, phone="+14155550100")
    bound = await given.a_bound_call(tx, MARIA)
    await service.on_call_ended(tx, given.ended(bound.call_id, "answered", at=tx.now))
    (contact,) = (await profile.profile(tx.conn, customer_id=card.id, principal=agent)).last_contacts
    assert (contact.call_id, contact.outcome, contact.at, contact.agent) == (bound.call_id, "answered", tx.now, None)


async def test_why_somebody_looks(tx: Tx) -> None:
    caller, owner, other = [await given.a_person(tx) for _ in range(3)]
    card = await a_customer(tx, phone="+14155550100")
    call_id = await given.a_stored_call(tx, agent_id=caller.user_id, state="wrap_up", outcome="answered")
    bound = await given.a_bound_call(tx, MARIA, call_id=call_id)
    await service.assign(tx, bound.ticket_id, owner.user_id, version=1, actor=given.actor(owner))
    reasons = [
        await profile.purpose(tx.conn, customer_id=card.id, user_id=person.user_id) for person in (caller, owner, other)
    ]
    assert reasons == ["call", "ticket", "lookup"]


async def test_the_timeline_holds_everything_once_latest_first(tx: Tx) -> None:
    agent = await given.a_person(tx, "support", name="Ava Chen")
    card = await a_customer(tx, phone="+14155550100")
    call_id = await given.a_stored_call(tx, at=tx.now - timedelta(seconds=5))
    bound = await given.a_bound_call(tx, MARIA, call_id=call_id)
    start = tx.now
    for minute in range(1, 4):
        tx.now = start + timedelta(minutes=minute)
        await service.add_note(
            tx, bound.ticket_id, body=f"Note {minute}\nmore", call_id=call_id, actor=given.actor(agent)
        )
    await given.a_bound_call(tx, MARIA, queue="sales")

    async def read(limit: int) -> list[TimelineItem]:
        items: list[TimelineItem] = []
        cursor = None
        while True:
            page = await profile.timeline(tx.conn, customer_id=card.id, principal=agent, limit=limit, cursor=cursor)
            items += page.items
            cursor = page.next_cursor
            if cursor is None:
                return items

    whole = await read(100)
    assert [(item.kind, item.title) for item in whole] == [
        ("note", "Note 3"),
        ("note", "Note 2"),
        ("note", "Note 1"),
        ("ticket", "Call from Maria Lopez"),
        ("call", "Call from Maria Lopez"),
    ]
    assert all(item.data["ticket_id"] == bound.ticket_id for item in whole)
    assert (whole[0].data["author"], whole[-1].data["call_id"]) == ("Ava Chen", call_id)
    assert await read(1) == await read(2) == whole
    lead = await given.a_person(tx, role=Role.SUPERVISOR)
    everything = await profile.timeline(tx.conn, customer_id=card.id, principal=lead, limit=100, cursor=None)
    assert len(everything.items) == len(whole) + 2
