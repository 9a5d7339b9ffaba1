"""What a pass reads is enough: its decision is the one over everybody and everything, whatever the pool looks like.

Random pools in a real database; the whole pool is also handed to `decide` at once, and both must say the same.
"""

import json
import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import pytest

from infra.outbox import Tx
from infra.postgres import Connection
from routing import queries as sql
from routing import reading
from routing.decide import current_step, decide, free_agents, served, verdict_of
from routing.model import AgentView, PoolState, Proposal, Verdict, WaitingItem
from routing.order import supply_of
from routing.reading import Reading, read_and_decide
from tests.integration.routing.floor import Floor

POOL: Final = "pool_random"
QUEUES: Final = ("q1", "q2", "q3")
SKILLS: Final = ("billing", "german", "basque")
PICKS: Final = (
    ("longest_idle",),
    ("longest_idle", "round_robin", "weighted", "least_loaded", "best_skill", "preserve_specialists"),
)
"""Only by idle time, or anything."""


class RolledBack(Exception):
    pass


@pytest.fixture
async def empty(floor: Floor) -> Floor:
    await floor.open()
    return floor


def some_needs(rng: random.Random) -> list[dict[str, Any]]:
    chosen = rng.sample(SKILLS, rng.choice((0, 0, 1, 1, 2)))
    return [{"skill": skill, "level": rng.randint(1, 3)} for skill in chosen]


def some_steps(rng: random.Random, *, is_plain: bool) -> list[dict[str, Any]]:
    steps = []
    rises = rng.random() < 0.3
    for after in [0, *sorted(rng.sample(range(5, 40), rng.randint(0, 2)))]:
        step: dict[str, Any] = {"after_s": after, "require": some_needs(rng)}
        if rises:
            step |= {"tier": rng.choice((0, 0, 1, 2)), "boost_s": rng.choice((0, 10, 60))}
        if is_plain:
            steps.append(step | {"offers": rng.choice((1, 1, 1, 2, 3))})
            continue
        step["prefer"] = some_needs(rng)
        order: list[Any] = rng.sample([{"skill": "german"}, "preserve_specialists"], rng.randint(0, 2))
        step["order"] = order + rng.choice(([], ["longest_idle"], ["round_robin"], ["weighted"], ["least_loaded"]))
        steps.append(step | {"offers": rng.choice((1, 1, 1, 2, 3))})
    return rng.choice(([], steps, steps))


async def fill(conn: Connection, rng: random.Random) -> None:
    picks = rng.choice(PICKS)
    channels = {key: rng.choice(rng.choice((("voice",), ("voice", "ticket")))) for key in QUEUES}
    for key, channel in channels.items():
        await conn.execute(
            "INSERT INTO queues (key, name, pool_id, pick, channel) VALUES ($1, '{}', $2, $3, $4)",
            key, POOL, rng.choice(picks), channel,
        )  # fmt: skip
    groups = [dict.fromkeys(QUEUES, (1, 0))]
    if rng.random() < 0.6:
        groups += [
            {key: (rng.randint(1, 3), rng.choice((0, 0, 0, 20))) for key in QUEUES} for _ in range(rng.choice((1, 2)))
        ]
    clocks = "now() - make_interval(secs => $%d)"
    for n in range(rng.choice((0, 1, 3, 10, 25))):
        ident = 900_000 + n
        await conn.execute(
            f"""INSERT INTO agents (id, name, pool_id, presence, idle_since, last_offered_at, skills, total_units, used_units, cooldown_until, max_calls, max_calls_s, turn)
                VALUES ($1, 'Agent', $2, $3, {clocks % 4}, {clocks % 5}, $6, $7, $8, {clocks % 9}, $10, $10, $11)""",
            ident, POOL, rng.choice(("available", "available", "available", "break")), rng.randint(0, 9), rng.randint(0, 9),
            {s: rng.randint(0, 4) for s in rng.sample(SKILLS, rng.randint(0, 2))}, rng.choice((1, 1, 2)),
            rng.choice((0, 0, 0, 1)), rng.choice((60, 60, -60)), rng.choice((None, None, 1)), rng.randint(0, 4) / 2,
        )  # fmt: skip
        await conn.execute(
            """UPDATE agents SET ticket_cap = $2::integer, tickets = least($2::integer, $3::integer), shared_units = $4, voice_interrupts = $5, voice_cost = $6,
                      ticket_interrupts = $7, next_presence = $8, draining_for = $9 WHERE id = $1""",
            ident, rng.choice((0, 1, 3)), rng.choice((0, 0, 1, 2)), rng.choice((None, None, 2, 3)), rng.random() < 0.5, rng.choice((1, 2)),
            rng.random() < 0.5, rng.choice((None, None, None, "break")), rng.choice((None, None, None, 1)),
        )  # fmt: skip
        group = rng.choice(groups)
        await conn.executemany(
            "INSERT INTO agent_queues (agent_id, queue_key, rank, delay_s) VALUES ($1, $2, $3, $4)",
            [(ident, key, *group[key]) for key in rng.sample(QUEUES, rng.randint(0, 3))],
        )
        if rng.random() < 0.9:
            await conn.execute(
                "INSERT INTO desk_connections (replica, sid, agent_id, lease_until) VALUES ('r', $1, $2, now() + interval '1 hour')",
                f"s{ident}", ident,
            )  # fmt: skip
    kept = rng.choice(((None,), (None, None, *range(900_000, 900_003))))
    for _ in range(rng.choice((0, 1, 5, 30))):
        waited_s, queue = rng.randint(0, 50), rng.choice(QUEUES)
        channel, only = channels[queue], rng.choice(kept)
        ticket = await conn.fetchval(
            "INSERT INTO tickets (year, seq, subject, queue, state, opened_at, updated_at) "
            "SELECT 2026, 1 + count(*), 'a', $1, $2, now(), now() FROM tickets RETURNING id",
            rng.choice((queue, queue, queue, "elsewhere")), rng.choice(("new", "open", "open", "resolved")),
        )  # fmt: skip
        item = await conn.fetchval(
            f"""INSERT INTO work_items (ticket_id, queue, pool_id, state, tier, entered_at, virtual_start, steps, rule, ruleset_version, only_agent_id, channel)
                VALUES ($9, $1, $2, 'queued', $3, {clocks % 4}, {clocks % 5}, $6, 'r', 1, $7, $8) RETURNING id""",
            queue, POOL, rng.choice((0, 0, 1)), waited_s, waited_s + rng.choice((0, 0, 30)), some_steps(rng, is_plain=len(picks) == 1),
            only if channel == "voice" else None, channel, ticket,
        )  # fmt: skip
        for agent in rng.sample(range(900_000, 900_025), rng.choice((0, 0, 0, 2, 12))):
            await conn.execute(
                "INSERT INTO exclusions (work_item_id, agent_id, until, reason) VALUES ($1, $2, now() + interval '30 s', 'rejected')",
                item, agent,
            )  # fmt: skip


async def everything(conn: Connection, now: Any) -> tuple[list[WaitingItem], list[AgentView]]:
    """All of it, by plain statements."""
    items = await conn.fetch(
        """SELECT i.*, q.offer_timeout_s, q.pick,
                  ARRAY(SELECT x.agent_id FROM exclusions x WHERE x.work_item_id = i.id AND x.until > $2) AS excluded
           FROM work_items i JOIN queues q ON q.key = i.queue JOIN tickets t ON t.id = i.ticket_id
           WHERE i.pool_id = $1 AND i.state = 'queued' AND (i.channel = 'voice' OR t.state <> 'resolved' AND t.queue = i.queue)""",
        POOL, now,
    )  # fmt: skip
    agents = await conn.fetch(f"SELECT {sql.AGENT_VIEW} FROM agents a WHERE a.pool_id = $1 AND a.is_active", POOL)
    return [sql.item_of(row) for row in items], [sql.agent_of(row) for row in agents]


def r16_holds(proposals: Sequence[Proposal], items: list[WaitingItem], agents: list[AgentView], now: datetime) -> bool:
    """Nobody is asked for an item while one that comes before it for that agent, and that the agent could have, is left in line."""
    known, left = {agent.id: agent for agent in agents}, {item.id for item in items}
    for proposal in proposals:
        agent = known[proposal.agent_id]
        for item in items:
            may = verdict_of(item, item.steps[current_step(item, now)], agent, now).verdict is Verdict.ELIGIBLE
            mine, other = ((served(agent, i.queue).rank, i.key) for i in (proposal.item, item))
            if may and item.id in left and other < mine:
                return False
        left.discard(proposal.item.id)
    return True


@pytest.mark.parametrize("seed", range(160))
async def test_r16_r25_a_pass_decides_as_if_it_had_read_everything(
    empty: Floor, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(reading, "MAX_OFFERS", rng.choice((1, 2, 8)))
    monkeypatch.setattr(reading, "HEADS", rng.choice((1, 2, 16)))
    monkeypatch.setattr(reading, "IDLEST", rng.choice((1, 2, 5, 16)))
    few = sql.LONGEST_IDLE.replace(str(sql.LOOKED_THROUGH), str(rng.choice((1, 4, 200))))
    monkeypatch.setattr(sql, "LONGEST_IDLE", few)
    kept: list[tuple[Reading, list[WaitingItem], list[AgentView], Any]] = []

    async def in_a_pool_of_its_own(tx: Tx) -> None:
        await fill(tx.conn, rng)
        now = await tx.conn.fetchval("SELECT now()")
        while await tx.conn.fetch(sql.OPEN_STEPS, POOL, now):
            pass
        kept.append((await read_and_decide(tx.conn, POOL, now), *await everything(tx.conn, now), now))
        raise RolledBack

    with pytest.raises(RolledBack):
        await empty.transact(in_a_pool_of_its_own)
    [(found, items, agents, now)] = kept
    whole = decide(PoolState(tuple(items), tuple(agents), reading.MAX_OFFERS), now)
    proposals = found.decision.proposals
    assert [(p.item.id, p.agent_id, p.step) for p in proposals] == [
        (p.item.id, p.agent_id, p.step) for p in whole.proposals[: len(proposals)]
    ]
    assert [p.by for p in proposals] == [p.by for p in whole.proposals[: len(proposals)]]
    assert r16_holds(proposals, items, agents, now)
    if found.is_cut:
        assert proposals, (
            "a pass that was cut short has given something away, or it would begin at the same place for ever"
        )
    else:
        assert len(proposals) == len(whole.proposals)
    if found.supply:
        assert found.supply == supply_of(free_agents(agents, now))


async def test_the_database_keeps_profiles_and_needs_true(empty: Floor) -> None:
    """Whoever writes: what an agent can do and what an item asks for are grouped by what they are."""
    agents = await empty.fetch(
        "SELECT a.queues, ARRAY(SELECT m.queue_key FROM agent_queues m WHERE m.agent_id = a.id ORDER BY 1) AS real FROM agents a"
    )
    assert any(row["queues"] for row in agents)
    assert all(row["queues"] == {key: {} for key in row["real"]} for row in agents)
    await empty.execute("UPDATE agent_queues SET rank = 2, delay_s = 30 WHERE queue_key = 'sales'")
    assert (
        await empty.value("SELECT count(*) FROM agents WHERE queues -> 'sales' <> '{\"rank\": 2, \"delay_s\": 30}'")
        == 0
    )
    queue = "SELECT is_ranked, delays_s FROM queues WHERE key = 'sales'"
    assert [dict(row) for row in await empty.fetch(queue)] == [{"is_ranked": True, "delays_s": [30]}]
    await empty.execute("DELETE FROM agent_queues WHERE queue_key = 'sales'")
    assert await empty.value("SELECT count(*) FROM agents WHERE queues ? 'sales'") == 0
    assert [dict(row) for row in await empty.fetch(queue)] == [{"is_ranked": False, "delays_s": []}]
    one, two = await empty.ring(), await empty.ring()
    same = "SELECT count(DISTINCT need) FROM work_items WHERE id = ANY($1)"
    assert await empty.value(same, [one.item_id, two.item_id]) == 1
    await empty.execute(
        "UPDATE work_items SET steps = $2::text::jsonb WHERE id = $1",
        two.item_id,
        json.dumps([{"after_s": 0, "require": [{"skill": "german", "level": 1}]}, {"after_s": 30}]),
    )
    assert await empty.value(same, [one.item_id, two.item_id]) == 2
    assert await empty.value(
        "SELECT next_step_at - entered_at = interval '30 s' FROM work_items WHERE id = $1", two.item_id
    )
