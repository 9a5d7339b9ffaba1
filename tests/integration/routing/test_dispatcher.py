"""The dispatcher: one matcher per pool, its sweep, its decisions, and lines of which the head fits nobody."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from app import apply as organisation
from app.org import parse_org
from core.errors import Unavailable
from infra.bus import BrokerUnavailable
from infra.outbox import Tx
from routing import dispatcher, offering, reading, service
from routing import queries as sql
from routing.dispatcher import BUSY, NOTHING, Dispatcher, apply_decision, one_pass
from routing.reading import read_and_decide
from tests.integration.routing.floor import DE_POOL, ORG, POOL, Floor

GERMAN_FIRST = """
- name: German
  when: {field: call.language, op: "==", value: de}
  then: {tier: 5, steps: [{after_s: 0, require: [{skill: german}]}]}
- name: Everybody
"""


@contextlib.asynccontextmanager
async def running(matcher: Dispatcher) -> AsyncIterator[None]:
    task = asyncio.create_task(matcher.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(floor: Floor, query: str, *args: Any, within_s: float = 8) -> None:
    """Until the query says true."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not await floor.value(query, *args):
        assert loop.time() < deadline, f"still not: {query}"
        await asyncio.sleep(0.02)


# --- the lock ------------------------------------------------------------------------------------------------------------------


async def test_a_pool_is_left_to_who_has_its_lock(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    async with floor.outbox.transaction() as holder:
        await holder.conn.fetchrow(sql.TRY_POOL_LOCK, POOL, holder.now)
        assert await floor.transact(lambda tx: one_pass(tx, POOL)) == BUSY
        assert not await floor.dispatcher.dispatch(POOL)
        assert await floor.pending() == []
    assert await floor.dispatch() == [("ava", call.item_id)]


async def test_the_lock_of_one_pool_is_not_that_of_another(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("dana")
    call = await floor.ring("de")
    async with floor.outbox.transaction() as holder:
        await holder.conn.fetchrow(sql.TRY_POOL_LOCK, POOL, holder.now)
        assert await floor.dispatch(DE_POOL) == [("dana", call.item_id)]


async def test_with_nobody_waiting_nothing_is_read(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    assert await floor.transact(lambda tx: one_pass(tx, POOL)) == NOTHING
    await floor.ring("de")
    assert await floor.transact(lambda tx: one_pass(tx, POOL)) == NOTHING, "who waits in another pool does not count"


# --- re-check under lock -----------------------------------------------------------------------------------------------------


async def test_what_changed_since_it_was_read_is_decided_anew(floor: Floor) -> None:
    """R16: the second item must not get the agent whom the first one needs now."""
    await floor.open()
    await floor.arrive("ava", "ben")
    first, second = await floor.ring(), await floor.ring()

    read = await floor.transact(lambda tx: read_and_decide(tx.conn, POOL, tx.now))
    assert [p.item.id for p in read.decision.proposals] == [first.item_id, second.item_id]
    await floor.present("ava", "break")
    assert await floor.transact(lambda tx: apply_decision(tx, POOL, read)) == BUSY
    assert await floor.dispatch() == [("ben", first.item_id)]


async def test_a_call_that_is_ending_just_now_is_left_out(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    ending, other = await floor.ring(), await floor.ring()
    async with floor.outbox.transaction() as holder:
        await holder.conn.fetchval("SELECT id FROM calls WHERE id = $1 FOR UPDATE", ending.call_id)
        done = await floor.transact(lambda tx: one_pass(tx, POOL))
        assert (done.made, done.again_in_s) == (1, 0)
        assert await floor.transact(lambda tx: one_pass(tx, POOL)) == BUSY, "look again soon"
    assert [item for _, item, _ in await floor.pending()] == [other.item_id]
    assert [item for _, item in await floor.dispatch()] == [other.item_id, ending.item_id]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE agents SET presence = 'break' WHERE name = 'Ava'",
        "UPDATE agents SET is_active = false WHERE name = 'Ava'",
        "UPDATE desk_connections SET lease_until = now() - interval '1 second'",
        "UPDATE agents SET total_units = 0 WHERE name = 'Ava'",
    ],
)
async def test_nobody_who_cannot_take_it_any_more_gets_an_offer(floor: Floor, change: str) -> None:
    """R4, at the moment of writing."""
    await floor.open()
    await floor.arrive("ava")
    await floor.ring()

    async def decided_too_early(tx: Tx) -> Any:
        read = await read_and_decide(tx.conn, POOL, tx.now)
        assert len(read.decision.proposals) == 1
        await floor.execute(change)
        return await apply_decision(tx, POOL, read)

    assert await floor.transact(decided_too_early) == BUSY
    assert await floor.pending() == []
    await floor.execute("UPDATE agents SET presence = 'available', is_active = true WHERE name = 'Ava'")


# --- lines that hold nobody back -----------------------------------------------------------------------------------------------


async def many(floor: Floor, count: int, queue: str, steps: str, tier: int) -> None:
    """So many items at once, without calls."""
    await floor.execute(
        "WITH i AS (INSERT INTO work_items (ticket_id, queue, pool_id, state, tier, entered_at, virtual_start, steps, rule, ruleset_version) "
        "SELECT 1, $1, $2, 'queued', $5, now() - interval '1 hour', now() - interval '1 hour', $3::text::jsonb, 'many', 1 "
        "FROM generate_series(1, $4) RETURNING id, queue, entered_at) "
        "INSERT INTO stints (work_item_id, queue, entered_at, within_s, target, short_abandon_s, zone) "
        "SELECT id, queue, entered_at, 20, 0.8, 5, 'UTC' FROM i",
        queue,
        POOL,
        steps,
        count,
        tier,
    )


@pytest.mark.parametrize("count", [49, 50, 51, 1000])
async def test_r25_a_line_that_nobody_free_can_serve_holds_back_nobody(floor: Floor, count: int) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    await many(floor, count, "support", '[{"after_s": 0, "require": [{"skill": "german"}]}]', 9)
    call = await floor.ring()
    assert await floor.dispatch() == [("ava", call.item_id)]


async def test_a_long_line_of_another_queue_is_not_even_read(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ben")
    await floor.execute(
        "DELETE FROM agent_queues WHERE queue_key = 'support' AND agent_id = $1", floor.agent("ben").user_id
    )
    await many(floor, 200, "support", "[]", 9)
    call = await floor.ring("sales")

    read = await floor.transact(lambda tx: read_and_decide(tx.conn, POOL, tx.now))
    assert not read.is_cut
    assert await floor.dispatch() == [("ben", call.item_id)]


async def test_free_agents_are_seen_however_many_busy_ones_have_been_idle_longer(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben", "chen")
    await floor.execute("UPDATE agents SET total_units = 0 WHERE name IN ('Ava', 'Ben')")
    found = await floor.transact(lambda tx: sql.pool_agents(tx.conn, pool=POOL, limit=1))
    assert [agent.name for agent in found] == ["Chen"]


ALIKE: Final = """
queues: [{key: support, name: {en: Support}}]
agents:
  - {email: ava@example.com, name: Ava, queues: [support]}
  - {email: ben@example.com, name: Ben, queues: [support]}
  - {email: chen@example.com, name: Chen, queues: [support]}
"""
RARE: Final = "- {name: rare, then: {steps: [{after_s: 0, offers: %s, require: [{skill: billing, level: 2}]}]}}"


async def test_an_item_is_not_passed_over_because_few_agents_were_read(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first in line needs Chen, who is idle for the shortest time; who waits behind would do with anybody."""
    monkeypatch.setattr(reading, "MAX_OFFERS", 1)
    rules = """
- {name: rare, when: {field: call.from, op: starts_with, value: "+1"}, then: {steps: [{after_s: 0, require: [{skill: billing, level: 2}]}]}}
- {name: all, then: {}}
"""
    await floor.open(rules=rules)
    await floor.arrive("ava", "ben", "chen")
    await floor.execute("UPDATE agents SET skills = '{}' WHERE name IN ('Ava', 'Ben')")
    await floor.execute("""UPDATE agents SET skills = '{"billing": 3}' WHERE name = 'Chen'""")
    first, second = await floor.ring(), await floor.ring(from_="+4930555100")
    assert await floor.dispatch() == [("chen", first.item_id), ("ava", second.item_id)]


async def test_a_group_is_asked_as_a_whole(floor: Floor) -> None:
    await floor.open(rules=RARE % 2)
    await floor.arrive("ava", "ben", "chen")
    await floor.execute("""UPDATE agents SET skills = '{"billing": 3}'""")
    call = await floor.ring()
    done = await floor.transact(lambda tx: one_pass(tx, POOL))
    assert done.made == 2
    assert {item for _, item, _ in await floor.pending()} == {call.item_id}


async def test_agents_are_not_read_when_the_first_few_fit(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision costs the same however many are free: the chosen and who would have been next."""
    monkeypatch.setattr(reading, "IDLEST", 2)
    await floor.open(ALIKE)
    await floor.arrive("ava", "ben", "chen")
    await floor.ring()
    read = await floor.transact(lambda tx: read_and_decide(tx.conn, "pool_support", tx.now))
    assert [agent.name for agent in read.agents] == ["Ava", "Ben"]


async def test_of_a_large_pool_the_reasons_say_that_there_were_more(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "AGENTS", 1)
    monkeypatch.setattr(reading, "IDLEST", 2)
    await floor.open(ALIKE)
    await floor.arrive("ava", "ben", "chen")
    await floor.ring()
    await floor.dispatch("pool_support")
    assert (await floor.row("SELECT counts FROM decisions"))["counts"] == {"chosen": 1, "eligible": 1, "more": 1}


ORDERS: Final = """
queues:
  - {key: support, name: {en: Support}, pick: %s}
skills:
  - {key: billing, name: {en: Billing}}
agents:
  - {email: ava@example.com, name: Ava, queues: [support], skills: {billing: 1}}
  - {email: ben@example.com, name: Ben, queues: [support], skills: {billing: 5}}
"""


async def test_in_turn_also_who_was_free_at_once_waits_until_all_others_had_one(floor: Floor) -> None:
    await floor.open(ORDERS % "round_robin")
    await floor.arrive("ava", "ben")
    await floor.ring()
    await floor.dispatch("pool_support")
    [(first, _, offer_id)] = await floor.pending("pool_support")
    await floor.reject(first, offer_id)
    await floor.execute("DELETE FROM exclusions")
    assert [who for who, _ in await floor.dispatch("pool_support")] == [{"ava": "ben", "ben": "ava"}[first]]
    assert (await floor.row("SELECT chosen_by FROM decisions ORDER BY id DESC LIMIT 1"))["chosen_by"] == "round_robin"


async def test_a_step_that_opens_lets_others_have_it_at_the_next_pass(floor: Floor) -> None:
    """Also when its timer has not run: a pass opens what is due before it decides."""
    rules = "- {name: all, then: {steps: [{after_s: 0, require: [{skill: billing, level: 9}]}, {after_s: 30, prefer: [{skill: billing, level: 4}]}]}}"
    await floor.open(ORDERS % "longest_idle", rules=rules)
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    assert await floor.dispatch("pool_support") == []
    await floor.execute(
        "UPDATE work_items SET entered_at = entered_at - interval '31 s', virtual_start = virtual_start - interval '31 s'"
    )
    await floor.execute("UPDATE stints SET entered_at = entered_at - interval '31 s'")
    assert await floor.dispatch("pool_support") == [("ben", call.item_id)]
    row = await floor.row(
        "SELECT d.step, d.chosen_by, i.step AS now FROM decisions d JOIN work_items i ON i.id = d.work_item_id"
    )
    assert tuple(row.values()) == (1, "prefer", 1)


async def test_no_other_pass_follows_when_the_whole_line_was_served(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    await floor.ring()
    done = await floor.transact(lambda tx: one_pass(tx, POOL))
    assert (done.made, done.again_in_s) == (1, None)
    await floor.ring()
    await floor.ring()
    done = await floor.transact(lambda tx: one_pass(tx, POOL))
    assert (done.made, done.again_in_s) == (1, None), "one is left, and nobody to take it"


# --- what is written down --------------------------------------------------------------------------------------------------------


async def test_every_decision_is_kept_with_its_reasons(floor: Floor) -> None:
    await floor.open(rules="- {name: all, then: {steps: [{after_s: 0, require: [{skill: billing, level: 2}]}]}}")
    await floor.arrive("ava", "ben", "chen")
    await floor.present("chen", "break")
    call = await floor.ring()
    await floor.dispatch()
    row = await floor.row("SELECT * FROM decisions")
    ids = {name: floor.agent(name).user_id for name in ("ava", "ben", "chen")}
    assert (row["work_item_id"], row["ruleset_version"], row["rule"], row["step"], row["chosen_agent_id"]) == (
        call.item_id, 1, "all", 0, ids["ava"]
    )  # fmt: skip
    assert row["offer_id"] == await floor.offer_of("ava")
    assert row["verdicts"] == [
        {"agent_id": ids["ava"], "verdict": "chosen"},
        {"agent_id": ids["ben"], "verdict": "eligible"},
        {"agent_id": ids["chen"], "verdict": "skill_missing", "detail": "billing ≥ 2"},
    ]
    assert row["counts"] == {"chosen": 1, "eligible": 1, "skill_missing": 1}


async def test_a_group_is_kept_as_one_decision_for_each_who_was_asked(floor: Floor) -> None:
    await floor.open(rules="- {name: two, then: {steps: [{after_s: 0, offers: 2}]}}")
    await floor.arrive("ava", "ben", "chen")
    await floor.ring()
    await floor.dispatch()
    rows = await floor.fetch("SELECT chosen_agent_id, counts FROM decisions ORDER BY id")
    assert [row["chosen_agent_id"] for row in rows] == [floor.agent(name).user_id for name in ("ava", "ben")]
    assert [row["counts"] for row in rows] == [{"chosen": 2, "eligible": 1}] * 2


async def test_only_so_many_verdicts_are_kept_in_full(floor: Floor) -> None:
    agents = "".join(f"  - {{email: a{n}@example.com, name: A{n}, queues: [support]}}\n" for n in range(30))
    await floor.open(f"queues: [{{key: support, name: {{en: S}}}}]\nagents:\n{agents}")
    await floor.arrive("a29", "a3")
    await floor.ring()
    await floor.dispatch("pool_support")
    row = await floor.row("SELECT verdicts, counts FROM decisions")
    assert len(row["verdicts"]) == offering.VERDICTS_IN_FULL
    assert [v["verdict"] for v in row["verdicts"][:3]] == ["chosen", "eligible", "offline"]
    assert row["counts"] == {"chosen": 1, "eligible": 1, "offline": 28}


async def test_at_most_ten_offers_a_transaction(floor: Floor) -> None:
    agents = "".join(f"  - {{email: a{n}@example.com, name: A{n}, queues: [support]}}\n" for n in range(12))
    await floor.open(f"queues: [{{key: support, name: {{en: S}}}}]\nagents:\n{agents}")
    await floor.arrive(*(f"a{n}" for n in range(12)))
    for _ in range(12):
        await floor.ring()
    made = [(await floor.transact(lambda tx: one_pass(tx, "pool_support"))).made for _ in range(3)]
    assert made == [10, 2, 0]


async def test_a_group_of_ten_is_asked_whole(floor: Floor) -> None:
    agents = "".join(f"  - {{email: a{n}@example.com, name: A{n}, queues: [support]}}\n" for n in range(12))
    org = f"queues: [{{key: support, name: {{en: S}}}}]\nagents:\n{agents}"
    await floor.open(org, rules="- {name: all, then: {steps: [{after_s: 0, offers: 10}]}}")
    await floor.arrive(*(f"a{n}" for n in range(12)))
    call = await floor.ring()
    asked = await floor.dispatch("pool_support")
    assert len({name for name, _ in asked}) == 10
    assert {item for _, item in asked} == {call.item_id}


# --- the loops -----------------------------------------------------------------------------------------------------------------------


async def test_the_sweep_finds_work_whose_wake_was_lost(floor: Floor) -> None:
    """Nothing carries wakes here, so all that happens comes from the sweep."""
    await floor.open()
    await floor.arrive("ava", "dana")
    async with running(floor.dispatcher):
        await floor.ring()
        await floor.ring("de")
        await until(floor, "SELECT count(*) = 2 FROM offers WHERE state = 'pending'")


async def test_a_wake_is_served_at_once(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "SWEEP_S", 3600)
    await floor.open()
    await floor.arrive("ava", "dana")
    matcher = floor.dispatcher
    await floor.ring("de")
    async with running(matcher):
        await until(floor, "SELECT count(*) = 1 FROM offers WHERE state = 'pending'")  # so the loops are up
        await floor.ring()
        matcher.wake(POOL)
        matcher.wake("pool_unknown")
        await until(floor, "SELECT count(*) = 2 FROM offers WHERE state = 'pending'", within_s=3)


async def test_the_sweep_ends_what_no_timer_ended(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    call = await floor.ring("sales")
    await floor.dispatch()
    offer_id = await floor.offer_of("ben")
    await floor.execute("UPDATE offers SET created_at = now() - interval '1 minute', deadline = now() - interval '2 s'")
    await floor.execute("DELETE FROM timers")
    await floor.dispatcher._sweep_once()
    assert (await floor.offer(offer_id))["state"] == "timeout"
    assert (await floor.item(call))["state"] == "queued"
    other = await floor.ring()
    await floor.dispatch()
    await floor.talk(other, "ava")
    await floor.hang_up(other)
    await floor.execute("UPDATE offers SET wrap_ends_at = now() - interval '2 s' WHERE state = 'wrapping'")
    await floor.execute("DELETE FROM timers")
    await floor.dispatcher._sweep_once()
    assert (await floor.item(other))["state"] == "done"


async def test_the_sweep_finds_who_is_lost(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    await floor.disconnect("ava")
    await floor.dispatcher._sweep_once()
    assert [await floor.presence(name) for name in ("ava", "ben")] == [("reconnecting", None), ("available", None)]


async def test_one_that_cannot_be_mended_keeps_no_other_from_it(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    for name in ("ava", "ben"):
        await floor.disconnect(name)
    poison, real = floor.agent("ava").user_id, service.agent_is_lost

    async def sometimes_broken(tx: Tx, *, agent_id: int, **more: Any) -> None:
        if agent_id == poison:
            raise ValueError("what nobody thought of")
        await real(tx, agent_id=agent_id, **more)

    monkeypatch.setattr(service, "agent_is_lost", sometimes_broken)
    await floor.dispatcher._sweep_once()
    assert await floor.presence("ben") == ("reconnecting", None)


async def test_a_broker_that_is_away_stops_nobody(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any) -> None:
        raise BrokerUnavailable("gone")

    monkeypatch.setattr(floor.outbox.broker, "declare", away)
    await floor.open()
    await floor.arrive("ava")
    await floor.ring()
    async with running(floor.dispatcher):
        await until(floor, "SELECT count(*) = 1 FROM offers WHERE state = 'pending'")


async def test_a_database_that_is_away_is_waited_for(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    await floor.open()
    await floor.arrive("ava")
    await floor.ring()
    real, failures = floor.outbox.transact, iter([Unavailable("gone"), ValueError("odd"), TimeoutError()])

    async def transact(body: Any, **more: Any) -> Any:
        if (failure := next(failures, None)) is not None:
            raise failure
        return await real(body, **more)

    monkeypatch.setattr(floor.outbox, "transact", transact)
    async with running(floor.dispatcher):
        await until(floor, "SELECT count(*) = 1 FROM offers WHERE state = 'pending'", within_s=12)


async def test_a_new_pool_is_served_without_a_restart(floor: Floor) -> None:
    await floor.open("queues: [{key: a, name: {en: A}}]")
    async with running(floor.dispatcher):
        await floor.open()
        await floor.arrive("dana")
        await floor.ring("de")
        await until(floor, "SELECT count(*) = 1 FROM offers WHERE state = 'pending'")


async def test_r15_r34_a_decision_can_be_replayed(floor: Floor) -> None:
    await floor.open(rules=GERMAN_FIRST)
    await floor.arrive("ava", "ben", "chen")
    for language in ("de", "en", "de", "en"):
        await floor.ring(language=language)

    async def twice(tx: Tx) -> tuple[Any, Any]:
        return await read_and_decide(tx.conn, POOL, tx.now), await read_and_decide(tx.conn, POOL, tx.now)

    first, second = await floor.transact(twice)
    assert first == second
    assert len(first.decision.proposals) == 2


# --- turns by weight -----------------------------------------------------------------------------------------------------------


async def test_r21_turns_by_weight_and_r22_nobody_saves_turns_up(floor: Floor) -> None:
    """Ava has three turns to one of Ben and Chen each, in any five; who comes back from lunch has one turn and not ten."""
    heavy = ORG.replace("queues: [support], skills: {billing: 4}}", "queues: [support], weight: 3}")
    await floor.open(heavy.replace("offer_timeout_s: 20,", "offer_timeout_s: 20, pick: weighted,"))
    await floor.arrive("ava", "ben", "chen")

    async def turns(count: int) -> list[str]:
        asked = []
        for _ in range(count):
            call = await floor.ring()
            [(name, item)] = await floor.dispatch()
            assert item == call.item_id
            asked.append(name)
            await floor.hang_up(call)
        return asked

    asked = await turns(25)
    assert Counter(asked) == {"ava": 15, "ben": 5, "chen": 5}
    for start in range(21):
        assert 2 <= asked[start : start + 5].count("ava") <= 4
    await floor.present("chen", "break")
    await turns(20)
    await floor.present("chen", "available")
    back = await turns(10)
    assert back.count("chen") <= 3, back
    by = await floor.value("SELECT chosen_by FROM decisions ORDER BY id LIMIT 1")
    assert by == "weighted"


# --- skills that end -----------------------------------------------------------------------------------------------------------


def ending(day: str) -> str:
    return ORG.replace("skills: {billing: 4}}", f"skills: {{billing: {{level: 4, until: {day}}}}}}}")


async def test_a_skill_counts_to_the_end_of_its_day(floor: Floor) -> None:
    rules = "- {name: all, then: {steps: [{after_s: 0, require: [{skill: billing, level: 3}]}]}}"
    await floor.open(ending("2999-12-31"), rules=rules)
    agent = await floor.agent_row("ava")
    assert (agent["skills"], agent["skills_until"]) == ({"billing": 4}, {"billing": "3000-01-01T00:00:00+00:00"})
    await floor.arrive("ava")
    await floor.dispatcher._sweep_once()
    first = await floor.ring()
    assert await floor.dispatch() == [("ava", first.item_id)]
    await floor.reject("ava")
    before = (await floor.agent_row("ava"))["profile"]
    await floor.execute(
        "UPDATE agents SET skills_until = jsonb_build_object('billing', now()) WHERE skills_until <> '{}'"
    )
    await floor.dispatcher._sweep_once()
    await floor.dispatcher._sweep_once()
    agent = await floor.agent_row("ava")
    assert (agent["skills"], agent["skills_until"]) == ({}, {})
    assert agent["profile"] != before
    await floor.ring()
    assert await floor.dispatch() == []
    rows = await floor.fetch("SELECT before FROM audit_log WHERE action = 'agent.skills_expired'")
    assert [row["before"] for row in rows] == [{"skills": ["billing"]}]


async def test_a_skill_that_has_ended_is_not_given_again(floor: Floor) -> None:
    await floor.open(ending("2026-01-01"))
    agent = await floor.agent_row("ava")
    assert (agent["skills"], agent["skills_until"]) == ({}, {})
    org = parse_org(ending("2026-01-01"))
    assert await floor.transact(lambda tx: organisation.apply(tx, org, by="test")) == []


# --- limits of agents ----------------------------------------------------------------------------------------------------------


async def test_an_agent_takes_no_more_calls_than_the_limit_in_any_stretch_of_its_time(floor: Floor) -> None:
    await floor.open(
        ORG.replace("queues: [support], skills: {billing: 4}}", "queues: [support], limit: {calls: 2, per_s: 600}}")
    )
    await floor.arrive("ava")
    taken = []
    for _ in range(2):
        call = await floor.ring()
        assert await floor.dispatch() == [("ava", call.item_id)]
        await floor.talk(call, "ava")
        await floor.hang_up(call)
        await floor.finish(call, "ava")
        taken.append(call)
    third = await floor.ring()
    assert await floor.dispatch() == []
    agents = {a.name: a for a in await floor.transact(lambda tx: sql.pool_agents(tx.conn, pool=POOL))}
    assert agents["Ava"].has_had_enough
    await floor.execute(
        "UPDATE offers SET accepted_at = accepted_at - interval '10 minutes', created_at = created_at - interval '10 minutes' WHERE call_id = $1",
        taken[0].call_id,
    )
    assert await floor.dispatch() == [("ava", third.item_id)], "the first of the two is ten minutes ago"


async def test_a_limit_reached_meanwhile_is_seen_under_lock(floor: Floor) -> None:
    await floor.open(
        ORG.replace("queues: [support], skills: {billing: 4}}", "queues: [support], limit: {calls: 1, per_s: 600}}")
    )
    await floor.arrive("ava")
    await floor.ring()
    ident = floor.agent("ava").user_id

    async def late(tx: Tx) -> dispatcher.Pass:
        read = await read_and_decide(tx.conn, POOL, tx.now)
        assert [p.agent_id for p in read.decision.proposals] == [ident]
        await tx.conn.execute(
            "INSERT INTO offers (work_item_id, agent_id, queue, pool_id, step, units, state, created_at, deadline, accepted_at, ended_at) "
            "VALUES (0, $1, 'support', $2, 0, 1, 'completed', now(), now(), now(), now())",
            ident, POOL,
        )  # fmt: skip
        done = await apply_decision(tx, POOL, read)
        await tx.conn.execute("DELETE FROM offers WHERE work_item_id = 0")
        return done

    assert await floor.transact(late) == BUSY
