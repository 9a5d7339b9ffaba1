"""The invariants are worth something: each of these seeded mistakes in the product is caught by the one that names it.

A mutant is a change of one statement or one function, in memory. The stories are those of an ordinary day; unchanged, they
break nothing.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from types import ModuleType
from typing import Any, Final

import pytest

from core.errors import Conflict
from core.events import CallQueued
from cti import queries as cti_sql
from infra import outbox
from infra.outbox import Tx
from realtime import desk_log
from realtime import queries as realtime_sql
from routing import queries as routing_sql
from routing import reading
from routing import service as routing
from routing.decide import decide
from routing.model import Decision, PoolState
from tests import invariants
from tests.stack import Stack, running_stack
from ticketing import service as ticketing
from ticketing import writes as ticketing_sql

bind = ticketing.bind

# --- stories -----------------------------------------------------------------------------------------------------------------


async def somebody_waits(stack: Stack) -> None:
    await stack.dial()


async def somebody_gives_up(stack: Stack) -> None:
    leg = await stack.dial()
    leg.leave()
    await stack.quiet()


async def it_rings(stack: Stack) -> None:
    ava = await stack.agent("ava")
    await stack.dial()
    await ava.offer()


async def two_talk(stack: Stack) -> None:
    ava = await stack.agent("ava")
    await stack.dial()
    await ava.take()


async def two_have_talked(stack: Stack) -> None:
    """The agent is still wrapping up."""
    ava = await stack.agent("ava")
    leg = await stack.dial()
    await ava.take()
    leg.leave()
    await stack.quiet()


async def one_is_not_asked_again(stack: Stack) -> None:
    """Declined, and the dispatcher looks again."""
    ava = await stack.agent("ava")
    await stack.dial()
    status, _ = await ava.ask("POST", f"/offers/{await ava.offer()}/reject")
    assert status == 200
    await stack.quiet()
    await stack.dispatch()


async def somebody_accepts_too_late(stack: Stack) -> None:
    ava = await stack.agent("ava")
    await stack.dial()
    offer = await ava.offer()
    await stack.rows("UPDATE offers SET deadline = clock_timestamp() - interval '5 seconds' RETURNING 1")
    status, _ = await ava.ask("POST", f"/offers/{offer}/accept")
    await stack.quiet()
    if status != 200:
        await stack.fire("routing.offer")


async def the_first_has_waited_long(stack: Stack) -> None:
    first = await stack.dial()
    call = (await stack.call(first.sid))["id"]
    for statement in (
        "UPDATE work_items SET entered_at = entered_at - interval '60 s', virtual_start = virtual_start - interval '60 s' WHERE call_id = $1",
        "UPDATE stints SET entered_at = entered_at - interval '60 s' WHERE call_id = $1",
        "UPDATE events SET created_at = created_at - interval '60 s' WHERE correlation_id = 'call_' || $1::bigint",
    ):
        await stack.rows(statement + " RETURNING 1", call)
    await stack.dial("+14155550124")
    ava = await stack.agent("ava")
    await ava.offer()


async def a_command_is_old(stack: Stack) -> None:
    await two_talk(stack)
    await stack.rows("UPDATE provider_commands SET created_at = created_at - interval '2 minutes' RETURNING 1")


STORIES: Final = (
    somebody_waits, somebody_gives_up, it_rings, two_talk, two_have_talked, one_is_not_asked_again, somebody_accepts_too_late,
    the_first_has_waited_long, a_command_is_old,
)  # fmt: skip

# --- mutants -----------------------------------------------------------------------------------------------------------------


async def nothing(*_: Any, **__: Any) -> None:
    """Somebody has forgotten this."""


async def bind_and_forget(tx: Tx, event: CallQueued) -> None:
    await bind(tx, event)
    await tx.conn.execute("DELETE FROM ticket_calls WHERE call_id = $1", event.call_id)


def decide_the_last(state: PoolState, now: datetime) -> Decision:
    return decide(replace(state, items=state.items[-1:]), now)


async def refuse(*_: Any, **__: Any) -> None:
    raise Conflict("Somebody has made a mistake.")


@dataclass(frozen=True, slots=True)
class Mutant:
    what: str
    where: ModuleType
    name: str
    change: Callable[[Any], Any]
    story: Callable[[Stack], Awaitable[None]]
    caught_by: str

    def __str__(self) -> str:
        return self.what.replace(" ", "-")


def instead(old: str, new: str) -> Callable[[str], str]:
    def change(statement: str) -> str:
        assert old in statement, "the mutant changes nothing"
        return statement.replace(old, new)

    return change


def by(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


MUTANTS: Final = (
    Mutant("a ticket is opened and not tied to its call", ticketing, "bind", by(bind_and_forget), somebody_waits,
           "I1 a call that was queued has a ticket"),
    Mutant("a call is not put in line", routing, "enqueue", by(nothing), somebody_waits,
           "a call that was queued has a work item with the same ticket"),
    Mutant("a history row has the wrong version", ticketing_sql, "BIND_CALL",
           instead("SELECT id, version, $4, 'system'", "SELECT id, version + 1, $4, 'system'"), somebody_waits,
           "I5 each version of a ticket is a change in its history or a note"),
    Mutant("an effect is done and not marked", outbox, "EFFECTS_DONE",
           instead("done_at = now(), lease_until = NULL", "last_error = 'mutant', lease_until = NULL"), it_rings,
           "I8 every delivery is done"),
    Mutant("an effect is marked and not counted", outbox, "EFFECTS_DONE",
           instead("attempts = greatest(d.attempts, 1)", "attempts = 0"), it_rings, "I7 what is done was tried"),
    Mutant("a consumer does not mark what it did", outbox, "CLAIM_STATE",
           instead("done_at = now()", "last_error = 'mutant'"), somebody_gives_up, "I8 every delivery is done"),
    Mutant("a consumer refuses what is right", ticketing, "on_call_ended", by(refuse), somebody_gives_up, "I18 nothing is parked"),
    Mutant("a webhook's answer is not kept", cti_sql, "KEEP_ANSWER", by("SELECT $1::text, $2::text"), two_have_talked,
           "I17 every webhook has its answer"),
    Mutant("the desk log skips numbers", realtime_sql, "APPEND", instead("last_seq + 1", "last_seq + 2"), it_rings,
           "I11 desk logs are dense"),
    Mutant("an offer is not in the desk log", desk_log, "on_offer_created", by(nothing), it_rings,
           "I11 every offer stands in its agent's desk log, once"),
    Mutant("an offer has no timer", routing_sql, "MAKE_OFFERS",
           instead("'routing.offer', id, version, deadline FROM made", "'routing.offer', id, version, deadline FROM made WHERE false"),
           it_rings, "R26 every pending offer has its timer"),
    Mutant("a wrap-up has no timer", routing, "set_timer", by(nothing), two_have_talked,
           "R29 every wrap-up that ends by itself has its timer"),
    Mutant("the deadline is not looked at", routing_sql, "ACCEPT_OFFER", instead(" AND deadline > clock_timestamp()", ""),
           somebody_accepts_too_late, "R6 no offer was accepted after its deadline"),
    Mutant("units are not given back", routing_sql, "FREE_AGENTS",
           instead("used_units = a.used_units - f.units,", "used_units = a.used_units,"), one_is_not_asked_again,
           "R2 used units are the units of open offers"),
    Mutant("who declined is asked again", routing_sql, "EXCLUDE", by("SELECT $1::bigint, $2::bigint, $3::timestamptz, $4::text"),
           one_is_not_asked_again, "R13 nobody was offered what they had just declined, or failed to be connected to"),
    Mutant("the last come first", reading, "decide", by(decide_the_last), the_first_has_waited_long,
           "R16 nobody was given an item while one before it, that they may serve, was in line"),
    Mutant("a boost is made up", routing_sql, "ADD_ITEM", instead("make_interval(secs => $5::integer)", "make_interval(secs => 60)"),
           somebody_waits, "R17 virtual start is entry less boost"),
    Mutant("a decision is not kept", routing_sql, "ADD_DECISIONS", lambda statement: statement + " WHERE false", it_rings,
           "R15 every offer has its decision"),
    Mutant("a stint never ends", routing_sql, "END_STINT", instead("left_at IS NULL", "left_at IS NULL AND false"), somebody_gives_up,
           "a waiting item has an open stint, an ended one has none"),
    Mutant("an interval begins late", routing_sql, "REFRESH_INTERVALS",
           instead("coalesce(closed.ended_at, $2)", "coalesce(closed.ended_at, $2) + interval '1 second'"), it_rings,
           "state intervals have no gaps"),
    Mutant("nobody writes down that they talk", cti_sql, "OPEN_SEGMENT",
           by("SELECT $1::bigint, $2::bigint, $3::bigint, $4::text, $5::timestamptz"), two_talk,
           "a connected offer has its talk segment"),
    Mutant("the end of a call is not heard", routing, "on_call_ended", by(nothing), somebody_gives_up,
           "an ended call leaves no item in line"),
    Mutant("a command never ends", cti_sql, "END_COMMAND", lambda statement: statement + " AND false", a_command_is_old,
           "no provider command is left hanging"),
)  # fmt: skip


@asynccontextmanager
async def a_day(database_url: str, redis_url: str) -> AsyncIterator[Stack]:
    async with running_stack(database_url, redis_url) as stack:
        yield stack


async def found_in(stack: Stack) -> dict[str, list[object]]:
    async with stack.parts.resources.database.acquire() as conn:
        return await invariants.broken(conn, deployed=True)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_an_ordinary_day_breaks_nothing(
    story: Callable[[Stack], Awaitable[None]], database_url: str, redis_url: str, clean: None
) -> None:
    async with a_day(database_url, redis_url) as stack:
        await story(stack)
        found = await found_in(stack)
    found.pop("I19 no lease is longer than its limit", None)  # the desks of these tests are there for an hour
    assert found == {}


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
async def test_a_mistake_is_caught_by_the_invariant_that_names_it(
    mutant: Mutant, database_url: str, redis_url: str, clean: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutant.where, mutant.name, mutant.change(getattr(mutant.where, mutant.name)))
    async with a_day(database_url, redis_url) as stack:
        await mutant.story(stack)
        found = await found_in(stack)
    assert mutant.caught_by in found
