"""Tickets that nobody called about: lined up, assigned by the same rules, within each agent's capacity, beside calls."""

from typing import Any, Final

import pytest

from app.org import OrgFileInvalid, parse_org
from core.errors import Conflict
from core.ids import TicketId
from core.principal import Actor
from routing import drain
from routing import queries as sql
from routing.decide import explain
from routing.dispatcher import one_pass
from routing.explain import REASONS
from tests.integration.routing.floor import Floor
from ticketing import service as tickets
from ticketing.model import Priority

ORG: Final = """
channels: %s
queues:
  - {key: support, name: {en: Support}, drain_after_s: 30}
  - {key: office, name: {en: Back office}, channel: ticket}
  - {key: claims, name: {en: Claims}, channel: ticket, pick: round_robin}
skills:
  - {key: billing, name: {en: Billing}}
agents:
  - {email: ava@example.com, name: Ava, queues: [support, office], skills: {billing: 4}, capacity: {ticket: 2%s}}
  - {email: ben@example.com, name: Ben, queues: [support, office], capacity: {ticket: 2%s}}
  - {email: chen@example.com, name: Chen, queues: [claims], capacity: {ticket: 1}}
  - {email: dana@example.com, name: Dana, queues: [claims], capacity: {ticket: 1}}
  - {email: sam@example.com, name: Sam, role: supervisor}
numbers:
  - {number: "+14155550199", region: US, queue: support}
"""
DESK: Final = "pool_office"
CLAIMS: Final = "pool_claims"
SHARED: Final = ORG % ("{voice: {units: 2, interrupts: []}, ticket: {units: 1}}", ", units: 2", ", units: 2")
SAM: Final = Actor("user", 1, "Sam")


def org(channels: str = "{}", units: str = "") -> str:
    return ORG % (channels, units, units)


async def opened(floor: Floor, queue: str = "office", *, priority: Priority = Priority.NORMAL) -> TicketId:
    ticket = await floor.transact(
        lambda tx: tickets.create(
            tx, subject="Refund", queue=queue, customer_id=None, priority=priority, actor=by(floor)
        )
    )
    await floor.settle()
    return ticket.id


def by(floor: Floor) -> Actor:
    sam = floor.agent("sam")
    return Actor("user", sam.user_id, sam.name)


async def change(floor: Floor, ticket: TicketId, **wanted: Any) -> None:
    version = await floor.value("SELECT version FROM tickets WHERE id = $1", ticket)
    await floor.transact(lambda tx: tickets.change(tx, ticket, wanted, version=version, actor=by(floor)))
    await floor.settle()


async def assigned(floor: Floor, pool: str = DESK) -> dict[TicketId, str | None]:
    """Passes until nothing fits: who has which ticket."""
    await floor.dispatch(pool)
    await floor.settle()
    names = {person.user_id: name for name, person in floor.people.items()}
    rows = await floor.fetch(
        "SELECT id, assignee_id FROM tickets WHERE queue = ANY(ARRAY['office', 'claims']) ORDER BY id"
    )
    return {row["id"]: names.get(row["assignee_id"]) for row in rows}


async def at_hand(floor: Floor, name: str) -> tuple[int, int]:
    row = await floor.agent_row(name)
    return row["tickets"], row["tickets_over"]


async def item_of(floor: Floor, ticket: TicketId) -> dict[str, Any]:
    return await floor.row("SELECT * FROM work_items WHERE ticket_id = $1 ORDER BY id DESC LIMIT 1", ticket)


async def test_the_least_loaded_gets_the_next_until_all_are_full(floor: Floor) -> None:
    await floor.open(org())
    await floor.arrive("ava", "ben")
    first, second, third = [await opened(floor) for _ in range(3)]
    assert await assigned(floor) == {first: "ava", second: "ben", third: "ava"}
    fourth, fifth = await opened(floor), await opened(floor)
    assert (await assigned(floor))[fourth] == "ben"
    assert (await assigned(floor))[fifth] is None, "two each is what they may have"
    assert await at_hand(floor, "ava") == (2, 0)
    assert (await item_of(floor, fifth))["state"] == "queued"
    await change(floor, second, state="resolved")
    assert (await assigned(floor))[fifth] == "ben"
    assert (await item_of(floor, second))["end_reason"] == "handled"


async def test_each_decision_says_why(floor: Floor) -> None:
    await floor.open(org())
    await floor.arrive("ava", "ben")
    ticket = await opened(floor)
    await assigned(floor)
    row = await floor.row("SELECT * FROM decisions WHERE work_item_id = $1", (await item_of(floor, ticket))["id"])
    assert (row["offer_id"], row["chosen_by"]) == (None, "least_loaded")
    verdicts = {v["agent_id"]: v["verdict"] for v in row["verdicts"]}
    assert verdicts == {floor.agent("ava").user_id: "chosen", floor.agent("ben").user_id: "eligible"}
    history = await floor.fetch(
        "SELECT actor_kind, data FROM ticket_history WHERE ticket_id = $1 ORDER BY version", ticket
    )
    assert history[-1]["actor_kind"] == "system"


async def test_turns_go_round(floor: Floor) -> None:
    await floor.open(org())
    await floor.arrive("chen", "dana")
    first = await opened(floor, "claims")
    assert (await assigned(floor, CLAIMS))[first] == "chen"
    await change(floor, first, state="resolved")
    second = await opened(floor, "claims")
    assert (await assigned(floor, CLAIMS))[second] == "dana"


async def test_rules_say_what_a_ticket_asks_for(floor: Floor) -> None:
    rules = """
- name: urgent
  when: {all: [{field: work.channel, op: "==", value: ticket}, {field: ticket.priority, op: "==", value: urgent}]}
  then: {tier: 2, steps: [{after_s: 0, require: [{skill: billing, level: 3}]}]}
- name: everybody
  then: {queue: support}
"""
    await floor.open(org(), rules=rules)
    await floor.arrive("ben")
    urgent, other = await opened(floor, priority=Priority.URGENT), await opened(floor)
    assert await assigned(floor) == {urgent: None, other: "ben"}, "a rule cannot send a ticket into a queue of calls"
    assert (await item_of(floor, urgent))["tier"] == 2
    await floor.arrive("ava")
    assert (await assigned(floor))[urgent] == "ava"


async def test_a_call_is_taken_beside_tickets_and_tickets_beside_a_call(floor: Floor) -> None:
    await floor.open(org())
    await floor.arrive("ava")
    first = await opened(floor)
    await assigned(floor)
    call = await floor.ring()
    assert await floor.dispatch(DESK) == [("ava", call.item_id)], (
        "calls may interrupt tickets, if nobody says otherwise"
    )
    await floor.talk(call, "ava")
    second = await opened(floor)
    assert await assigned(floor) == {first: "ava", second: "ava"}
    assert (await floor.intervals("ava"))[-1] == "talking"
    await floor.hang_up(call)
    await change(floor, first, state="resolved")
    third = await opened(floor)
    assert (await assigned(floor))[third] is None, "who wraps up finishes that first"
    await floor.finish(call, "ava")
    assert (await assigned(floor))[third] == "ava"


async def test_who_has_chosen_a_break_or_is_not_there_gets_none(floor: Floor) -> None:
    await floor.open(org())
    await floor.arrive("ava", "ben")
    await floor.present("ava", "break")
    await floor.disconnect("ben")
    ticket = await opened(floor)
    assert await assigned(floor) == {ticket: None}
    await floor.connect("ben")
    assert await assigned(floor) == {ticket: "ben"}


async def test_a_person_may_go_over_and_then_nothing_comes_by_itself(floor: Floor) -> None:
    await floor.open(org())
    await floor.arrive("ava")
    for _ in range(2):
        await opened(floor)
    await assigned(floor)
    third = await opened(floor)
    await change(floor, third, assignee_id=floor.agent("ava").user_id)
    assert await at_hand(floor, "ava") == (3, 1)
    fourth = await opened(floor)
    await change(floor, third, state="resolved")
    assert await at_hand(floor, "ava") == (2, 0)
    assert (await assigned(floor))[fourth] is None


async def test_what_comes_to_life_again_counts_again(floor: Floor) -> None:
    """Zendesk, Salesforce tab model: people above capacity, because work that wakes up takes a place that was given away."""
    await floor.open(org())
    await floor.arrive("ava")
    tickets_ = [await opened(floor) for _ in range(2)]
    await assigned(floor)
    await change(floor, tickets_[0], state="pending_customer")
    assert await at_hand(floor, "ava") == (1, 0)
    third = await opened(floor)
    assert (await assigned(floor))[third] == "ava"
    await change(floor, tickets_[0], state="open")
    assert await at_hand(floor, "ava") == (3, 1)
    fourth = await opened(floor)
    assert (await assigned(floor))[fourth] is None


async def test_a_ticket_given_back_waits_in_its_old_place(floor: Floor) -> None:
    await floor.open(org())
    await floor.arrive("ava")
    first = await opened(floor)
    await assigned(floor)
    await floor.present("ava", "break")
    second = await opened(floor)
    await change(floor, first, assignee_id=None)
    assert await at_hand(floor, "ava") == (0, 0)
    rows = await floor.fetch(
        "SELECT ticket_id FROM work_items WHERE state = 'queued' ORDER BY tier DESC, virtual_start, entered_at, id"
    )
    assert [row["ticket_id"] for row in rows] == [first, second]
    assert [s["outcome"] for s in await floor.fetch("SELECT outcome FROM stints ORDER BY id")] == [
        "answered",
        None,
        None,
    ]


async def test_a_ticket_moved_to_calls_is_no_work_and_back_again_is(floor: Floor) -> None:
    await floor.open(org())
    ticket = await opened(floor)
    await change(floor, ticket, queue="support")
    assert (await item_of(floor, ticket))["end_reason"] == "withdrawn"
    await change(floor, ticket, queue="claims")
    assert (await item_of(floor, ticket))["queue"] == "claims"
    await change(floor, ticket, queue="office")
    assert (await item_of(floor, ticket))["queue"] == "office"
    await floor.arrive("ben")
    assert await assigned(floor) == {ticket: "ben"}


async def test_from_hand_to_hand(floor: Floor) -> None:
    await floor.open(org())
    await floor.arrive("ava", "ben")
    ticket = await opened(floor)
    await assigned(floor)
    await change(floor, ticket, assignee_id=floor.agent("ben").user_id)
    assert (await at_hand(floor, "ava"), await at_hand(floor, "ben")) == ((0, 0), (1, 0))
    assert (await item_of(floor, ticket))["agent_id"] == floor.agent("ben").user_id


async def test_a_held_queue_assigns_nothing(floor: Floor) -> None:
    await floor.open(org())
    await floor.arrive("ava")
    await floor.execute("UPDATE queues SET held_since = now(), held_by = 'Sam' WHERE key = 'office'")
    ticket = await opened(floor)
    assert await assigned(floor) == {ticket: None}
    await floor.execute("UPDATE queues SET held_since = NULL, held_by = NULL WHERE key = 'office'")
    assert await assigned(floor) == {ticket: "ava"}


async def test_a_pass_leaves_out_what_somebody_changes_just_now(floor: Floor) -> None:
    await floor.open(org())
    await floor.arrive("ava")
    ticket, other = await opened(floor), await opened(floor)
    async with floor.outbox.transaction() as tx:
        await tickets.lock(tx, ticket)
        assert not await floor.dispatcher.dispatch(DESK), "it does not wait for the lock"
        assert await floor.value("SELECT assignee_id FROM tickets WHERE id = $1", ticket) is None
    assert await assigned(floor) == {ticket: "ava", other: "ava"}


async def not_told(floor: Floor, ticket: TicketId, **wanted: Any) -> None:
    """The ticket changes, and its work does not follow yet: the broker is away."""
    version = await floor.value("SELECT version FROM tickets WHERE id = $1", ticket)
    await floor.transact(lambda tx: tickets.change(tx, ticket, wanted, version=version, actor=by(floor)))


async def test_tickets_whose_work_has_not_followed_keep_nobody_from_calls(floor: Floor) -> None:
    await floor.open(org())
    stale = [await opened(floor) for _ in range(9)]
    for ticket in stale:
        await not_told(floor, ticket, state="resolved")
    call = await floor.ring()
    await floor.arrive("ava")
    assert await floor.dispatch(DESK) == [("ava", call.item_id)]


async def test_a_ticket_that_was_moved_goes_to_nobody_of_the_queue_it_has_left(floor: Floor) -> None:
    await floor.open(org())
    ticket = await opened(floor)
    await not_told(floor, ticket, queue="claims")
    await floor.arrive("ava", "chen")
    await floor.dispatch(DESK)
    assert await floor.value("SELECT assignee_id FROM tickets WHERE id = $1", ticket) is None
    await floor.settle()
    assert await assigned(floor, CLAIMS) == {ticket: "chen"}


async def test_a_pass_that_has_given_tickets_looks_again_at_once(floor: Floor) -> None:
    await floor.open(org())
    await floor.arrive("ava")
    for _ in range(2):
        await opened(floor)
    done = await floor.transact(lambda tx: one_pass(tx, DESK))
    assert (done.made, done.again_in_s) == (1, 0), "one for each agent and pass; she has room for another"


async def test_draining_ends_with_its_reason(floor: Floor) -> None:
    await floor.open(SHARED)
    await floor.arrive("ava")
    for _ in range(2):
        await opened(floor)
    await assigned(floor)
    await floor.ring(waited_s=31)
    for change_and_back in (
        ("UPDATE queues SET held_since = now() WHERE key = 'support'", "UPDATE queues SET held_since = NULL"),
        ("UPDATE queues SET drain_after_s = NULL WHERE key = 'support'", "UPDATE queues SET drain_after_s = 30"),
        (
            "UPDATE agents SET presence = 'break' WHERE name = 'Ava'",
            "UPDATE agents SET presence = 'available' WHERE name = 'Ava'",
        ),
    ):
        await floor.transact(drain.drain)
        assert (await floor.agent_row("ava"))["draining_for"] is not None
        await floor.execute(change_and_back[0])
        await floor.transact(drain.drain)
        assert (await floor.agent_row("ava"))["draining_for"] is None, change_and_back[0]
        await floor.execute(change_and_back[1])


async def test_tickets_are_first_come_first_served_with_calls(floor: Floor) -> None:
    """One merged order: where a call and a ticket want the same place, who came first in line has it."""
    await floor.open(SHARED)
    ticket = await opened(floor)
    call = await floor.ring()
    await floor.arrive("ava")
    assert await floor.dispatch(DESK) == [], "the ticket came first, and beside it there is no room for a call"
    assert await assigned(floor) == {ticket: "ava"}
    await floor.arrive("ben")
    assert await floor.dispatch(DESK) == [("ben", call.item_id)]
    another = await opened(floor)
    assert (await assigned(floor))[another] == "ava", "Ben is asked for a call, which takes all that he has"


async def test_taskrouter_chat_backlog_a_call_fits_because_somebody_drains(floor: Floor) -> None:
    """TaskRouter: with a backlog of the other channel each place is filled again before a call fits."""
    await floor.open(SHARED)
    await floor.arrive("ava")
    one, two, three, four = [await opened(floor) for _ in range(4)]
    assert await assigned(floor) == {one: "ava", two: "ava", three: None, four: None}
    call = await floor.ring()
    assert await floor.dispatch(DESK) == []
    await floor.transact(drain.drain)
    assert (await floor.agent_row("ava"))["draining_for"] is None, "not before 30 s"
    await floor.execute(
        "UPDATE work_items SET entered_at = entered_at - interval '31 s', virtual_start = virtual_start - interval '31 s'"
    )
    await floor.execute("UPDATE stints SET entered_at = entered_at - interval '31 s'")
    await floor.transact(drain.drain)
    assert (await floor.agent_row("ava"))["draining_for"] == call.item_id
    await floor.transact(drain.drain)
    await change(floor, one, state="resolved")
    assert (await assigned(floor))[three] is None, "the place is not filled again"
    await change(floor, two, state="resolved")
    assert await floor.dispatch(DESK) == [("ava", call.item_id)]
    await floor.talk(call, "ava")
    await floor.transact(drain.drain)
    assert (await floor.agent_row("ava"))["draining_for"] is None
    await floor.hang_up(call)
    await floor.finish(call, "ava")
    assert (await assigned(floor))[four] == "ava"


async def test_a_call_drains_nobody_for_whom_it_is_too_low(floor: Floor) -> None:
    rules = """
- {name: tickets, when: {field: work.channel, op: "==", value: ticket}, then: {tier: 3}}
- {name: calls}
"""
    await floor.open(SHARED, rules=rules)
    await floor.arrive("ava")
    for _ in range(2):
        await opened(floor)
    await assigned(floor)
    await floor.ring(waited_s=60)
    await floor.transact(drain.drain)
    assert (await floor.agent_row("ava"))["draining_for"] is None


async def test_a_waiting_call_says_that_agents_are_full_with_tickets(floor: Floor) -> None:
    await floor.open(SHARED)
    await floor.arrive("ava", "ben")
    for _ in range(4):
        await opened(floor)
    await assigned(floor)
    call = await floor.ring()
    await floor.dispatch(DESK)
    row = await floor.row(sql.ITEM_DETAIL, call.item_id, None)
    async with floor.database.acquire() as conn:
        agents = await sql.pool_agents(conn, pool=DESK)
    verdicts = explain(sql.item_of(row), agents, row["entered_at"])
    assert [v.verdict for v in verdicts] == ["crowded_by_tickets"] * 2
    assert REASONS["crowded_by_tickets"]["en"] == "full with tickets"


async def test_it_is_known_how_many_tickets_are_ahead(floor: Floor) -> None:
    await floor.open(org())
    waiting = [await opened(floor) for _ in range(3)]
    ahead = [await floor.value(sql.AHEAD, (await item_of(floor, ticket))["id"]) for ticket in waiting]
    assert ahead == [0, 1, 2]


async def test_the_database_refuses_more_than_capacity(floor: Floor) -> None:
    await floor.open(org())
    with pytest.raises(Exception, match="agents_ticket_capacity"):
        await floor.execute("UPDATE agents SET tickets = 3 WHERE name = 'Ava'")


async def test_a_queue_that_becomes_one_of_tickets_takes_those_it_has(floor: Floor) -> None:
    await floor.open(
        org().replace("key: office, name: {en: Back office}, channel: ticket", "key: office, name: {en: Back office}")
    )
    ticket = await opened(floor)
    assert await floor.fetch("SELECT 1 FROM work_items") == []
    await floor.open(org())
    await floor.settle()
    assert (await item_of(floor, ticket))["state"] == "queued"
    with pytest.raises(Conflict, match="Work is still in the queue"):
        await floor.open(
            org().replace(
                "key: office, name: {en: Back office}, channel: ticket", "key: office, name: {en: Back office}"
            )
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (org("{voice: {units: 5}}", ", units: 3"), "agents[0].capacity.units: is less than what one costs"),
        (org().replace("queue: support}\n", "queue: office}\n"), "'office' holds tickets, not calls"),
        (
            org().replace("drain_after_s: 30", "overflow: {max_waiting: 3, to: office}"),
            "'office' holds tickets, not calls",
        ),
        (
            org().replace("channel: ticket, pick", "overflow: {max_waiting: 3}, channel: ticket, pick"),
            "is for callers; tickets wait",
        ),
    ],
)
def test_the_file_says_what_cannot_be(text: str, message: str) -> None:
    with pytest.raises(OrgFileInvalid) as raised:
        parse_org(text)
    assert message in str(raised.value)
