"""Two in the same instant: one winner, nobody stuck, every invariant kept, and no deadlock on the way."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from core.ids import AgentId
from cti import queries as calls
from cti import service as telephony
from cti.model import AgentJoined, CallerJoined, CallerLeft
from infra.outbox import Tx
from infra.timers import TAKE_TIMER
from routing import queries as sql
from routing import rule_sets, service
from routing.dispatcher import apply_decision, one_pass
from routing.model import OfferExpired, OfferRow
from routing.reading import read_and_decide
from tests.integration.routing.floor import ORG, POOL, Floor, Waiting
from tests.integration.routing.racing import Act, race, retries
from tests.invariants import broken


@pytest.fixture(autouse=True)
async def no_deadlock() -> AsyncIterator[None]:
    before = retries()
    yield
    assert retries() == before, "the database had to break a deadlock"


async def holds(floor: Floor) -> None:
    async with floor.database.acquire() as conn:
        assert await broken(conn, settled=False) == {}


async def again(floor: Floor, call: Waiting, *names: str) -> None:
    """Everybody back at work, the call over."""
    await floor.hang_up(call)
    for row in await floor.fetch("SELECT id FROM offers WHERE state = 'wrapping'"):
        await floor.transact(lambda tx, offer_id=row["id"]: service.wrap_up_timed_out(tx, offer_id, 0))  # type: ignore[misc]
    for place, name in enumerate(names):
        await floor.connect(name)
        await floor.present(name, "available")
        await floor.idle_for(name, 600 - place)


# --- the acts ----------------------------------------------------------------------------------------------------------------------


def accept(floor: Floor, name: str, offer_id: int) -> Act:
    return lambda tx: service.accept(tx, offer_id=offer_id, who=floor.agent(name))


def reject(floor: Floor, name: str, offer_id: int) -> Act:
    return lambda tx: service.reject(tx, offer_id=offer_id, who=floor.agent(name))


def away(floor: Floor, name: str) -> Act:
    ident = floor.agent(name).user_id
    return lambda tx: service.set_presence(tx, agent_id=ident, state="break", reason=None, by="agent")


def lost(floor: Floor, name: str) -> Act:
    """The sweep finds that the desk has been gone for six seconds."""

    async def act(tx: Tx) -> None:
        ident = floor.agent(name).user_id
        await tx.conn.execute(sql.LOCK_AGENTS, [ident])
        await tx.conn.execute(
            "UPDATE desk_connections SET lease_until = now() - interval '6 s' WHERE agent_id = $1", ident
        )
        for _ in range(2):
            await service.agent_is_lost(tx, agent_id=ident, offer_grace_s=0, reconnect_grace_s=45)

    return act


def back(floor: Floor, name: str) -> Act:
    ident = floor.agent(name).user_id
    return lambda tx: service.desk_connected(tx, agent_id=ident, replica="test", sid="other")


def run_out(offer_id: int) -> Act:
    """As the timer's runner does it: the row of the timer is taken first."""

    async def act(tx: Tx) -> None:
        version = await tx.conn.fetchval(TAKE_TIMER, service.OFFER_TIMER, offer_id)
        if version is not None:
            await service.offer_timed_out(tx, offer_id, version)

    return act


def hang_up(sid: str) -> Act:
    return lambda tx: telephony.customer_gone(tx, sid=sid, at=tx.now)


def dispatch() -> Act:
    return lambda tx: one_pass(tx, POOL)


def look(call: Waiting) -> Act:
    return lambda tx: service.step_opened(tx, call.item_id, 0)


# --- one winner ------------------------------------------------------------------------------------------------------------------------


async def test_of_two_who_accept_one_wins_and_nobody_else_is_asked(floor: Floor) -> None:
    await floor.open(rules="- {name: two, then: {steps: [{after_s: 0, offers: 2}]}}")
    await floor.arrive("ava", "ben", "chen")
    winners: Counter[str] = Counter()
    for _ in range(20):
        call = await floor.ring()
        await floor.dispatch()
        offers = {name: await floor.offer_of(name) for name in ("ava", "ben")}
        results = await race(floor, *(accept(floor, name, offer) for name, offer in offers.items()))
        assert sorted(type(result).__name__ for result in results) == ["OfferRow", "OfferTaken"]
        winner = "ava" if isinstance(results[0], OfferRow) else "ben"
        winners[winner] += 1
        units = {name: (await floor.agent_row(name))["used_units"] for name in ("ava", "ben", "chen")}
        assert units == {"ava": 0, "ben": 0, "chen": 0} | {winner: 1}
        assert await floor.dispatch() == []
        await again(floor, call, "ava", "ben", "chen")
    await holds(floor)


async def test_accept_and_time_out_in_the_same_instant_have_one_winner(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    outcomes: Counter[str] = Counter()
    for n in range(50):
        call = await floor.ring()
        await floor.dispatch()
        offer_id = await floor.offer_of("ava")
        await floor.execute(
            "WITH o AS (UPDATE offers SET deadline = clock_timestamp() + make_interval(secs => $2) WHERE id = $1 RETURNING id, deadline) "
            "UPDATE timers t SET due_at = o.deadline FROM o WHERE t.kind = 'routing.offer' AND t.object_id = o.id",
            offer_id,
            0.002 + 0.0005 * (n % 12),
        )

        async def timer(offer_id: int = offer_id) -> None:
            """A runner that is very quick to see what is due."""
            while (await floor.offer(offer_id))["state"] == "pending":
                await floor.transact(run_out(offer_id))

        accepted, _ = await asyncio.gather(race(floor, accept(floor, "ava", offer_id)), timer())
        offer, agent = await floor.offer(offer_id), await floor.agent_row("ava")
        outcomes[offer["state"]] += 1
        if offer["state"] == "accepted":
            assert isinstance(accepted[0], OfferRow)
            assert offer["accepted_at"] < offer["deadline"]
            assert (agent["used_units"], agent["presence"], agent["misses"]) == (1, "available", 0)
        else:
            assert isinstance(accepted[0], OfferExpired)
            assert (offer["state"], agent["used_units"], agent["presence"]) == ("timeout", 0, "not_responding")
        await again(floor, call, "ava")
    assert sum(outcomes.values()) == 50
    await holds(floor)


async def test_accept_and_hang_up_in_the_same_instant(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    for _ in range(20):
        call = await floor.ring()
        await floor.dispatch()
        offer_id = await floor.offer_of("ava")
        sid = await floor.value("SELECT sid FROM calls WHERE id = $1", call.call_id)
        accepted, _ = await race(floor, accept(floor, "ava", offer_id), hang_up(sid))
        assert isinstance(accepted, OfferRow | CallerLeft)
        assert (await floor.offer(offer_id))["state"] == "canceled"
        item, agent = await floor.item(call), await floor.agent_row("ava")
        assert (item["state"], agent["used_units"], agent["misses"]) == ("abandoned", 0, 0)
    await holds(floor)


async def test_an_offer_made_while_the_caller_leaves_does_not_stay(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    for _ in range(20):
        call = await floor.ring()
        sid = await floor.value("SELECT sid FROM calls WHERE id = $1", call.call_id)
        await race(floor, dispatch(), hang_up(sid))
        assert (await floor.item(call))["state"] == "abandoned"
        assert (await floor.agent_row("ava"))["used_units"] == 0
    await holds(floor)


async def test_an_offer_made_while_the_agent_leaves_does_not_stay(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    for _ in range(20):
        call = await floor.ring()
        await race(floor, dispatch(), away(floor, "ava"))
        assert (await floor.item(call))["state"] == "queued"
        agent = await floor.agent_row("ava")
        assert (agent["presence"], agent["used_units"]) == ("break", 0)
        await again(floor, call, "ava")
    await holds(floor)


async def test_a_rule_set_published_by_two_at_once_is_published_once(floor: Floor) -> None:
    await floor.open()

    def publish(name: str) -> Act:
        async def act(tx: Tx) -> int:
            version = await rule_sets.add_rule_set(tx, [{"name": name}], origin="api", by="test")
            await rule_sets.publish_rule_set(tx, version)
            return version

        return act

    for n in range(5):
        versions = await race(floor, *(publish(f"rules {n} of {who}") for who in range(4)))
        assert sorted(versions) == list(range(min(versions), min(versions) + 4))
    assert await floor.value("SELECT version FROM rule_sets WHERE is_published") == max(versions)


# --- capacity ----------------------------------------------------------------------------------------------------------------------------


def crowd(count: int) -> str:
    agents = "".join(f"  - {{email: a{n}@example.com, name: A{n}, queues: [support]}}\n" for n in range(count))
    return f"queues: [{{key: support, name: {{en: S}}}}]\nagents:\n{agents}"


async def test_eight_passes_at_once_never_give_anybody_two(floor: Floor) -> None:
    await floor.open(crowd(24))
    await floor.arrive(*(f"a{n}" for n in range(24)))
    for _ in range(40):
        await floor.ring()
    for _ in range(6):
        await race(floor, *[lambda tx: one_pass(tx, "pool_support")] * 8)
    assert await floor.value("SELECT count(*) FROM offers") == 24
    assert await floor.value("SELECT max(used_units) FROM agents") == 1
    assert await floor.value("SELECT count(DISTINCT work_item_id) FROM offers") == 24


async def test_capacity_holds_even_without_the_pools_lock(floor: Floor) -> None:
    """The lock gives speed; what is re-checked under the rows' locks gives truth: eight decide on the same state."""
    await floor.open(crowd(12))
    await floor.arrive(*(f"a{n}" for n in range(12)))
    for _ in range(14):
        await floor.ring()
    barrier = asyncio.Barrier(8)

    async def decided_alone(tx: Tx) -> int:
        read = await read_and_decide(tx.conn, "pool_support", tx.now)
        await barrier.wait()
        return (await apply_decision(tx, "pool_support", read)).made

    made = await asyncio.gather(*(floor.transact(decided_alone) for _ in range(8)))
    assert sorted(made) == [0] * 7 + [10]
    assert await floor.value("SELECT max(used_units) FROM agents") == 1


# --- every pair ------------------------------------------------------------------------------------------------------------------------------

Arranged = dict[str, Act]


def while_it_rings(floor: Floor, call: Waiting, sid: str, offer_id: int) -> Arranged:
    return {
        "accept": accept(floor, "ava", offer_id),
        "reject": reject(floor, "ava", offer_id),
        "run out": run_out(offer_id),
        "hang up": hang_up(sid),
        "break": away(floor, "ava"),
        "lost": lost(floor, "ava"),
        "back": back(floor, "ava"),
        "dispatch": dispatch(),
        "look": look(call),
    }


def in_call(floor: Floor, call: Waiting, sid: str, offer_id: int) -> Arranged:
    ava = floor.agent("ava")

    async def joined(tx: Tx) -> None:
        row = await calls.lock_call(tx.conn, call_id=call.call_id)
        assert row is not None
        row = await telephony.apply(tx, row, CallerJoined(tx.now))
        await telephony.apply(tx, row, AgentJoined(AgentId(ava.user_id), tx.now))

    return {
        "joined": joined,
        "not found": lambda tx: telephony.looked(tx, call_id=call.call_id, offer_id=offer_id, present=frozenset()),  # type: ignore[arg-type]
        "finish": lambda tx: service.finish_wrap_up(tx, call_id=call.call_id, who=ava, disposition="resolved"),
        "wrap-up ends": lambda tx: service.wrap_up_timed_out(tx, offer_id, 0),
        "hang up": hang_up(sid),
        "break": away(floor, "ava"),
        "lost": lost(floor, "ava"),
        "accept again": accept(floor, "ava", offer_id),
        "run out": run_out(offer_id),
        "dispatch": dispatch(),
    }  # fmt: skip


def pairs(names: list[str]) -> list[tuple[str, str]]:
    return list(itertools.combinations_with_replacement(names, 2))


RINGING = ["accept", "reject", "run out", "hang up", "break", "lost", "back", "dispatch", "look"]
CONNECTING = ["joined", "not found", "hang up", "break", "lost", "accept again", "run out", "dispatch"]
TALKING = ["not found", "finish", "wrap-up ends", "hang up", "break", "lost", "dispatch"]
WRAPPING = ["finish", "wrap-up ends", "hang up", "break", "lost", "dispatch"]


async def collide(
    floor: Floor, arrange: Callable[[Floor, Waiting, str, int], Arranged], names: list[str], *, moments: list[str]
) -> None:
    await floor.open(ORG.replace("{en: Support},", "{en: Support}, cool_downs: {busy_s: 1},"))
    for moment in moments:
        for pair in pairs(names):
            await floor.execute("UPDATE agents SET cooldown_until = NULL")
            await floor.arrive("ava", "ben")
            call = await floor.ring()
            assert await floor.dispatch() == [("ava", call.item_id)]
            offer_id = await floor.offer_of("ava")
            if moment != "ringing":
                await floor.accept("ava")
            if moment in ("talking", "wrapping"):
                await floor.join(call, "ava")
            sid = await floor.value("SELECT sid FROM calls WHERE id = $1", call.call_id)
            if moment == "wrapping":
                await floor.hang_up(call)
            await floor.execute(
                "UPDATE timers SET due_at = now() WHERE kind = 'routing.offer' AND object_id = $1", offer_id
            )
            acts = arrange(floor, call, sid, offer_id)
            results: list[Any] = await race(floor, *(acts[name] for name in pair))
            assert not [r for r in results if getattr(r, "code", "") in ("unavailable", "internal")], pair
            async with floor.database.acquire() as conn:
                assert await broken(conn, settled=False) == {}, (moment, pair)
            await again(floor, call, "ava", "ben")
            rows = await floor.fetch("SELECT name, used_units FROM agents WHERE used_units > 0")
            assert rows == [], (moment, pair, "nobody stays busy when all is over")


async def test_any_two_acts_while_it_rings(floor: Floor) -> None:
    await collide(floor, while_it_rings, RINGING, moments=["ringing"])


async def test_any_two_acts_while_connecting(floor: Floor) -> None:
    await collide(floor, in_call, CONNECTING, moments=["accepted"])


async def test_any_two_acts_while_talking(floor: Floor) -> None:
    await collide(floor, in_call, TALKING, moments=["talking"])


async def test_any_two_acts_while_wrapping_up(floor: Floor) -> None:
    await collide(floor, in_call, WRAPPING, moments=["wrapping"])
