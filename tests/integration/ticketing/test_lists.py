"""Lists: who sees what, filters, search, pages. Each arm of the statement is compared with a plain reading of the rules."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from core.errors import Invalid
from core.ids import TicketId
from core.principal import Principal, Role
from infra.outbox import Tx
from tests.builders import a_customer
from tests.integration.ticketing import given
from ticketing import lists, queries, service
from ticketing.lists import TicketFilter
from ticketing.model import OPEN_STATES, TicketNotFound, TicketState, TicketSummary
from ticketing.numbers import WrongTicketDigit

S = TicketState


async def listed(
    tx: Tx, principal: Principal, wanted: TicketFilter | None = None, *, limit: int = 100
) -> list[TicketSummary]:
    """All pages, one after the other."""
    items: list[TicketSummary] = []
    cursor = None
    while True:
        page = await lists.list_tickets(
            tx.conn, principal=principal, wanted=wanted or TicketFilter(), limit=limit, cursor=cursor
        )
        items.extend(page.items)
        if page.next_cursor is None:
            return items
        cursor = page.next_cursor


async def a_ticket(tx: Tx, subject: str = "Heater", *, minutes_ago: int = 0, **columns: Any) -> TicketId:
    ticket_id = (await given.a_bound_call(tx)).ticket_id
    by = given.actor(await given.a_person(tx))
    await service.change(tx, ticket_id, {"subject": subject}, version=1, actor=by)
    values = {"updated_at": tx.now - timedelta(minutes=minutes_ago), **columns}
    sets = ", ".join(f"{name} = ${place}" for place, name in enumerate(values, 2))
    await tx.conn.execute(f"UPDATE tickets SET {sets} WHERE id = $1", ticket_id, *values.values())
    return ticket_id


async def test_an_agent_sees_their_queues_what_is_theirs_and_what_is_nobodys(tx: Tx) -> None:
    agent = await given.a_person(tx, "support", "de")
    lead = await given.a_person(tx, role=Role.SUPERVISOR)
    support, german = await a_ticket(tx), await a_ticket(tx, queue="de", minutes_ago=1)
    mine = await a_ticket(tx, queue="sales", assignee_id=agent.user_id, minutes_ago=2)
    nowhere = await a_ticket(tx, queue=None, minutes_ago=3)
    foreign = await a_ticket(tx, queue="sales", minutes_ago=4)
    assert [ticket.id for ticket in await listed(tx, agent)] == [support, german, mine, nowhere]
    assert [ticket.id for ticket in await listed(tx, lead)] == [support, german, mine, nowhere, foreign]
    for ticket_id in (support, german, mine, nowhere):
        assert await queries.visible_ticket_id(tx.conn, ref=str(ticket_id), principal=agent) == ticket_id
    for read in (
        queries.visible_ticket_id(tx.conn, ref=str(foreign), principal=agent),
        queries.ticket(tx.conn, ticket_id=foreign, principal=agent),
        queries.visible_ticket_id(tx.conn, ref=(await given.summary(tx, foreign)).number, principal=agent),
    ):
        with pytest.raises(TicketNotFound):
            await read
    ids = [foreign, mine, support]
    seen = await queries.ticket_summaries(tx.conn, ids=ids, principal=agent)
    assert [ticket.id for ticket in seen] == [mine, support]
    assert [ticket.id for ticket in await queries.ticket_summaries(tx.conn, ids=ids, principal=lead)] == ids


@pytest.mark.parametrize("role", [Role.SUPERVISOR, Role.ADMIN, Role.AUDITOR, Role.INTEGRATION])
async def test_everybody_but_agents_sees_all(tx: Tx, role: Role) -> None:
    person = await given.a_person(tx, role=role)
    foreign = await a_ticket(tx, queue="sales")
    assert [ticket.id for ticket in await listed(tx, person)] == [foreign]
    assert (await queries.ticket(tx.conn, ticket_id=foreign, principal=person)).id == foreign


async def test_who_has_handled_a_call_of_a_ticket_may_open_it(tx: Tx) -> None:
    agent, other = await given.a_person(tx), await given.a_person(tx)
    call_id = await given.a_stored_call(tx, agent_id=agent.user_id)
    bound = await given.a_bound_call(tx, call_id=call_id)
    assert (await queries.ticket(tx.conn, ticket_id=bound.ticket_id, principal=agent)).id == bound.ticket_id
    with pytest.raises(TicketNotFound):
        await queries.ticket(tx.conn, ticket_id=bound.ticket_id, principal=other)


async def test_the_ticket_of_a_call_with_its_last_note(tx: Tx) -> None:
    bound = await given.a_bound_call(tx)
    by = given.actor(await given.a_person(tx))
    for body in ("First", "Last"):
        await service.add_note(tx, bound.ticket_id, body=body, call_id=None, actor=by)
    ticket = await queries.ticket_of_call(tx.conn, call_id=bound.call_id)
    assert ticket is not None
    assert (ticket.id, ticket.is_new, ticket.last_note) == (bound.ticket_id, True, "Last")
    assert await queries.ticket_of_call(tx.conn, call_id=given.new_call_id()) is None


# --- every filter against the rules read plainly -----------------------------------------------------------------------


def _fits(ticket: TicketSummary, person: Principal, queues: Sequence[str], wanted: TicketFilter, customer: int) -> bool:
    assignee = None if ticket.assignee is None else ticket.assignee.id
    is_visible = person.role is not Role.AGENT or ticket.queue in queues or ticket.queue is None
    return (
        (is_visible or assignee == person.user_id)
        and (not wanted.states or ticket.state in wanted.states)
        and (wanted.queue is None or ticket.queue == wanted.queue)
        and (wanted.assignee is None or assignee == (None if wanted.assignee == "none" else wanted.assignee))
        and (wanted.customer_id is None or (ticket.customer is not None and ticket.customer.id == customer))
        and all(word in ticket.subject.lower() for word in (wanted.q or "").lower().split())
    )


async def test_every_combination_of_filters(tx: Tx) -> None:
    agent = await given.a_person(tx, "support", "de")
    other = await given.a_person(tx, "sales")
    lead = await given.a_person(tx, role=Role.SUPERVISOR)
    card = await a_customer(tx)
    closed = {"state": S.CLOSED, "close_reason": "by_hand", "closed_at": tx.now}
    state_columns: list[dict[str, Any]] = [
        {"state": S.NEW},
        {"state": S.PENDING_CUSTOMER},
        {"state": S.RESOLVED},
        closed,
    ]
    spread = product(("support", "de", "sales", None), (None, agent.user_id, other.user_id), state_columns)
    for minutes, (queue, assignee, columns) in enumerate(spread):
        await a_ticket(
            tx,
            "Heater is cold" if minutes % 3 else "Bill is wrong",
            minutes_ago=minutes // 2,  # pairs with equal times
            queue=queue,
            assignee_id=assignee,
            customer_id=card.id if minutes % 5 == 0 else None,
            **columns,
        )
    everything = await listed(tx, lead)
    assert len(everything) == 48
    states = [
        frozenset[TicketState](),
        OPEN_STATES,
        frozenset({S.NEW}),
        frozenset({S.RESOLVED, S.NEW}),
        frozenset({S.MERGED}),
    ]
    for states_, queue, assignee, customer, q in product(
        states,
        (None, "support", "sales"),
        (None, "none", agent.user_id, other.user_id),
        (None, card.id),
        (None, "heater COLD", "is"),
    ):
        wanted = TicketFilter(states_, queue, assignee, customer, q)  # type: ignore[arg-type]
        for person, queues in ((agent, ("support", "de")), (other, ("sales",)), (lead, ())):
            expected = [ticket.id for ticket in everything if _fits(ticket, person, queues, wanted, card.id)]
            assert [ticket.id for ticket in await listed(tx, person, wanted)] == expected, (wanted, person.role)


@pytest.mark.parametrize("limit", [1, 3, 7])
async def test_pages_hold_every_ticket_once(tx: Tx, limit: int) -> None:
    agent = await given.a_person(tx, "support")
    ids = [await a_ticket(tx, minutes_ago=number // 3) for number in range(10)]
    assert sorted(ticket.id for ticket in await listed(tx, agent, limit=limit)) == ids
    assert sorted(ticket.id for ticket in await listed(tx, agent, TicketFilter(q="heater"), limit=limit)) == ids


# --- search --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("q", "is_found"),
    [
        ("heater", True),
        ("HEATER broken", True),
        ("broken heat", True),
        ("eate", True),
        ("he", True),
        ("müller", True),
        ("muller", True),
        ("王", True),
        ("王伟", True),
        ("伟王", False),
        ("100%", True),
        ("100_", False),
        ("10%0", False),
        ("boiler", False),
        ("heater boiler", False),
        ("  ", True),
        ("\\", False),
    ],
)
async def test_words_are_found_in_subjects(tx: Tx, q: str, is_found: bool) -> None:
    lead = await given.a_person(tx, role=Role.SUPERVISOR)
    await a_ticket(tx, "Broken heater 100% of Jörg Müller, 王伟")
    assert len(await listed(tx, lead, TicketFilter(q=q))) == is_found


async def test_a_rare_word_is_found_beyond_the_newest(tx: Tx, monkeypatch: pytest.MonkeyPatch) -> None:
    """More tickets than a search walks: the trigram index finds the old one, still only for those who may see it."""
    monkeypatch.setattr(lists, "SEARCH_WALK", 5)
    agent, stranger = await given.a_person(tx, "support"), await given.a_person(tx, "de")
    old = await a_ticket(tx, "Zebra", minutes_ago=60)
    older = await a_ticket(tx, "Zebra xy", minutes_ago=90)
    for _ in range(8):
        await a_ticket(tx)
    assert [ticket.id for ticket in await listed(tx, agent, TicketFilter(q="zebra"))] == [old, older]
    assert [ticket.id for ticket in await listed(tx, agent, TicketFilter(q="zebra"), limit=1)] == [old, older]
    assert [ticket.id for ticket in await listed(tx, agent, TicketFilter(q="xy"))] == [older]
    assert [ticket.id for ticket in await listed(tx, agent, TicketFilter(q="zebra", queue="support"))] == [old, older]
    assert await listed(tx, agent, TicketFilter(q="zebra", states=frozenset({S.CLOSED}))) == []
    assert await listed(tx, stranger, TicketFilter(q="zebra")) == []


async def test_numbers_are_found_as_people_write_them_and_wrong_digits_named(tx: Tx) -> None:
    lead = await given.a_person(tx, role=Role.SUPERVISOR)
    ticket_id = await a_ticket(tx)
    number = (await given.summary(tx, ticket_id)).number
    digits = number.removeprefix("T-").replace("-", "")
    for q in (number, number.lower(), digits, f" {number.replace('-', ' ')} ", number[:-2]):
        assert [ticket.id for ticket in await listed(tx, lead, TicketFilter(q=q))] == [ticket_id], q
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    with pytest.raises(WrongTicketDigit, match=f"should be {number[-1]}"):
        await listed(tx, lead, TicketFilter(q=wrong))
    with pytest.raises(WrongTicketDigit):
        await queries.visible_ticket_id(tx.conn, ref=wrong, principal=lead)
    assert await listed(tx, lead, TicketFilter(q=wrong.removeprefix("T-").replace("-", ""))) == []


async def test_a_renamed_ticket_is_found_by_its_new_name_only(tx: Tx) -> None:
    lead = await given.a_person(tx, role=Role.SUPERVISOR)
    ticket_id = await a_ticket(tx, "Heater")
    ticket = await given.summary(tx, ticket_id)
    await service.change(tx, ticket_id, {"subject": "Boiler"}, version=ticket.version, actor=given.actor(lead))
    assert await listed(tx, lead, TicketFilter(q="heater")) == []
    assert len(await listed(tx, lead, TicketFilter(q="boiler"))) == 1


async def test_a_broken_cursor_is_refused(tx: Tx) -> None:
    lead = await given.a_person(tx, role=Role.SUPERVISOR)
    with pytest.raises(Invalid):
        await lists.list_tickets(tx.conn, principal=lead, wanted=TicketFilter(), limit=5, cursor="nonsense")


async def test_a_word_of_too_many_old_tickets_says_that_not_all_are_shown(
    tx: Tx, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead = await given.a_person(tx, role=Role.SUPERVISOR)
    old = [await a_ticket(tx, "Blackout", minutes_ago=100 + n, tags=["storm"]) for n in range(6)]
    newest = await a_ticket(tx, "Heater", minutes_ago=1)
    monkeypatch.setattr(lists, "SEARCH_WALK", 1)
    for wanted in (TicketFilter(q="blackout"), TicketFilter(tag="storm")):
        monkeypatch.setattr(lists, "MOST_HITS", 6)
        page = await lists.list_tickets(tx.conn, principal=lead, wanted=wanted, limit=50, cursor=None)
        assert ([ticket.id for ticket in page.items], page.is_partial) == (old, False)
        monkeypatch.setattr(lists, "MOST_HITS", 3)
        page = await lists.list_tickets(tx.conn, principal=lead, wanted=wanted, limit=50, cursor=None)
        assert {ticket.id for ticket in page.items} <= set(old)
        assert (len(page.items), page.is_partial) == (4, True)
    page = await lists.list_tickets(tx.conn, principal=lead, wanted=TicketFilter(q="heater"), limit=50, cursor=None)
    assert ([ticket.id for ticket in page.items], page.is_partial) == ([newest], False)
