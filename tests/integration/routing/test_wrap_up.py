"""After the call: every mode of wrap-up ends, keeps what was chosen, and blocks nobody."""

import pytest

from core.errors import NotFound
from core.ids import TicketId
from core.principal import Actor
from routing import service
from tests.integration.routing.floor import DE_POOL, ORG, POOL, Floor, Waiting
from ticketing import service as tickets
from ticketing.model import TicketState


async def wrapping(floor: Floor, queue: str = "support", name: str = "ava", pool: str = POOL) -> Waiting:
    await floor.arrive(name)
    call = await floor.ring(queue)
    await floor.dispatch(pool)
    await floor.talk(call, name)
    await floor.hang_up(call)
    return call


async def test_timed_wrap_up_ends_by_itself_without_a_disposition(floor: Floor) -> None:
    await floor.open()
    call = await wrapping(floor)
    offer_id = await floor.offer_of("ava")
    due = await floor.timer_due_in(service.WRAP_TIMER, offer_id)
    assert due is not None
    assert 28 < due <= 30
    ends_at = (await floor.offer(offer_id))["wrap_ends_at"]
    (started,) = await floor.events("wrap_up.started")
    assert started[1]["ends_at"] == ends_at.isoformat().replace("+00:00", "Z")
    other = await floor.ring()
    assert await floor.dispatch() == [], "wrap-up holds the agent"
    assert await floor.run_timer(service.WRAP_TIMER, offer_id)
    offer = await floor.offer(offer_id)
    assert (offer["state"], offer["disposition"]) == ("completed", None)
    assert (await floor.item(call))["state"] == "done"
    assert await floor.dispatch() == [("ava", other.item_id)]


async def test_wrap_up_can_be_left_early_with_a_disposition(floor: Floor) -> None:
    await floor.open()
    call = await wrapping(floor)
    assert await floor.finish(call, "ava", "resolved") == "closed"
    offer_id = await floor.offer_of("ava")
    assert (await floor.offer(offer_id))["disposition"] == "resolved"
    assert await floor.value("SELECT disposition FROM calls WHERE id = $1", call.call_id) == "resolved"
    assert await floor.timer_due_in(service.WRAP_TIMER, offer_id) is None
    await floor.transact(lambda tx: service.wrap_up_timed_out(tx, offer_id, 1))
    assert len(await floor.events("wrap_up.ended")) == 1
    with pytest.raises(NotFound):
        await floor.finish(call, "ava", "callback")


async def test_a_disposition_chosen_during_the_call_is_kept_to_the_end(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ava")
    assert await floor.finish(call, "ava", "information") == "in_call"
    assert (await floor.item(call))["state"] == "assigned"
    await floor.hang_up(call)
    await floor.run_timer(service.WRAP_TIMER, await floor.offer_of("ava"))
    assert (await floor.offer(await floor.offer_of("ava")))["disposition"] == "information"


async def test_without_wrap_up_the_agent_is_free_with_the_hang_up(floor: Floor) -> None:
    await floor.open()
    call = await wrapping(floor, "sales", "ben")
    assert (await floor.offer(await floor.offer_of("ben")))["state"] == "completed"
    assert (await floor.item(call))["state"] == "done"
    assert (await floor.agent_row("ben"))["used_units"] == 0
    assert await floor.intervals("ben") == ["offline", "available", "reserved", "talking", "available"]


async def test_manual_wrap_up_waits_for_the_agent(floor: Floor) -> None:
    await floor.open()
    call = await wrapping(floor, "de", "dana", DE_POOL)
    offer_id = await floor.offer_of("dana")
    assert await floor.timer_due_in(service.WRAP_TIMER, offer_id) is None
    assert (await floor.offer(offer_id))["wrap_ends_at"] is None
    assert (await floor.item(call))["state"] == "wrapping"
    await floor.finish(call, "dana")
    assert (await floor.item(call))["state"] == "done"


async def test_only_who_had_the_call_can_finish_it(floor: Floor) -> None:
    await floor.open()
    call = await wrapping(floor)
    for name in ("ben", "sam"):
        with pytest.raises(NotFound):
            await floor.finish(call, name)
    with pytest.raises(NotFound):
        await floor.transact(
            lambda tx: service.finish_wrap_up(tx, call_id=10**15, who=floor.agent("ava"), disposition=None)
        )


async def test_the_end_of_wrap_up_frees_for_the_next_call_and_resets_the_misses(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    await floor.execute("UPDATE agents SET misses = 3")
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ava")
    await floor.hang_up(call)
    freed = len(await floor.events("agent.freed"))
    await floor.finish(call, "ava")
    assert (await floor.agent_row("ava"))["misses"] == 0
    told = (await floor.events("agent.freed"))[freed:]
    assert [(body["agent_id"], body["pool"]) for _, body in told] == [(floor.agent("ava").user_id, POOL)]


async def test_facts_of_a_whole_call_are_complete(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring(waited_s=42)
    await floor.dispatch()
    await floor.talk(call, "ava")
    await floor.hang_up(call)
    await floor.finish(call, "ava", "resolved")
    stint = await floor.row("SELECT * FROM stints WHERE work_item_id = $1", call.item_id)
    assert stint["outcome"] == "answered"
    assert 42 <= (stint["left_at"] - stint["entered_at"]).total_seconds() < 60
    offer = await floor.offer(await floor.offer_of("ava"))
    moments = [offer[name] for name in ("created_at", "accepted_at", "connected_at", "wrap_started_at", "ended_at")]
    assert moments == sorted(moments)
    assert stint["connected_at"] == offer["connected_at"] == stint["left_at"]
    rows = await floor.fetch("SELECT kind, ended_at IS NOT NULL AS ended FROM segments ORDER BY id")
    assert rows == [{"kind": "talk", "ended": True}, {"kind": "wrap", "ended": True}]


# --- the ticket after the call ------------------------------------------------------------------------------------------

RESULTS = """
dispositions:
  - {key: resolved, digit: 1, name: {en: Resolved}, resolves_ticket: true}
  - {key: callback, digit: 2, name: {en: Call back}}
"""


async def ticket(floor: Floor, call: Waiting) -> tuple[str, int | None]:
    row = await floor.row("SELECT state, assignee_id FROM tickets WHERE id = $1", call.ticket_id)
    return row["state"], row["assignee_id"]


async def test_who_spoke_with_the_customer_keeps_the_ticket(floor: Floor) -> None:
    """Otherwise a call back that was promised would be nobody's."""
    await floor.open(ORG + RESULTS)
    call = await wrapping(floor)
    await floor.finish(call, "ava", "callback")
    ava = floor.agent("ava").user_id
    assert await ticket(floor, call) == ("open", ava)
    history = await floor.fetch(
        "SELECT kind, actor_kind, actor_id FROM ticket_history WHERE ticket_id = $1 AND kind = 'assigned'",
        call.ticket_id,
    )
    assert history == [{"kind": "assigned", "actor_kind": "user", "actor_id": ava}]
    audited = await floor.row("SELECT actor_id, before, after FROM audit_log WHERE action = 'ticket.after_call'")
    assert (audited["actor_id"], audited["before"]["assignee_id"], audited["after"]["assignee_id"]) == (ava, None, ava)
    await floor.settle()
    assert await ticket(floor, call) == ("open", ava)


async def test_a_result_that_says_so_resolves_the_ticket(floor: Floor) -> None:
    await floor.open(ORG + RESULTS)
    call = await wrapping(floor)
    await floor.finish(call, "ava", "resolved")
    assert await ticket(floor, call) == ("resolved", floor.agent("ava").user_id)
    await floor.settle()  # what follows from the end of the call does not open it again
    assert await ticket(floor, call) == ("resolved", floor.agent("ava").user_id)


async def test_the_result_chosen_during_the_call_counts_also_when_wrap_up_runs_out(floor: Floor) -> None:
    await floor.open(ORG + RESULTS)
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ava")
    await floor.finish(call, "ava", "resolved")
    await floor.hang_up(call)
    assert (await ticket(floor, call))[1] is None
    assert await floor.run_timer(service.WRAP_TIMER, await floor.offer_of("ava"))
    assert await ticket(floor, call) == ("resolved", floor.agent("ava").user_id)


async def test_a_ticket_that_somebody_has_stays_theirs(floor: Floor) -> None:
    await floor.open(ORG + RESULTS)
    call = await wrapping(floor)
    ben = floor.agent("ben").user_id
    await floor.execute("UPDATE tickets SET assignee_id = $2 WHERE id = $1", call.ticket_id, ben)
    await floor.finish(call, "ava", "callback")
    assert await ticket(floor, call) == ("open", ben)


async def test_a_ticket_closed_meanwhile_stays_closed(floor: Floor) -> None:
    await floor.open(ORG + RESULTS)
    call = await wrapping(floor)
    by = Actor("user", floor.agent("sam").user_id, "Sam")
    await floor.settle()
    version = await floor.value("SELECT version FROM tickets WHERE id = $1", call.ticket_id)
    closed = {"state": TicketState.CLOSED}
    await floor.transact(lambda tx: tickets.change(tx, TicketId(call.ticket_id), closed, version=version, actor=by))
    await floor.finish(call, "ava", "callback")
    assert await ticket(floor, call) == ("closed", None)
