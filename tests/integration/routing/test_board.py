"""The live figures equal a plain recount of the rows, whatever has happened."""

from collections import Counter
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from routing.live import board
from routing.messages import QueueStats
from tests.integration.routing.floor import DE_POOL, POOL, Floor


async def shown(floor: Floor, agent_id: int | None = None) -> dict[str, QueueStats]:
    async with floor.database.acquire() as conn:
        return {q.key: q for q in await board(conn, now=floor.database.clock.now(), agent_id=agent_id)}


async def recounted(floor: Floor, key: str) -> dict[str, Any]:
    """From the rows, one after the other, in Python."""
    now = floor.database.clock.now()
    queue = await floor.row("SELECT * FROM queues WHERE key = $1", key)
    items = [row for row in await floor.fetch("SELECT * FROM work_items") if row["queue"] == key]
    states = Counter(row["state"] for row in items)
    in_line = [row["entered_at"] for row in items if row["state"] in ("queued", "offering")]
    members = {row["agent_id"] for row in await floor.fetch("SELECT * FROM agent_queues") if row["queue_key"] == key}
    live = {row["agent_id"] for row in await floor.fetch("SELECT * FROM desk_connections") if row["lease_until"] > now}
    agents = [row for row in await floor.fetch("SELECT * FROM agents") if row["id"] in members and row["is_active"]]
    zone = ZoneInfo(queue["zone"])
    midnight = datetime.combine(now.astimezone(zone).date(), time(), zone).astimezone(UTC)
    stints = [
        row
        for row in await floor.fetch("SELECT * FROM stints")
        if row["queue"] == key and row["entered_at"] >= midnight
    ]
    answered = [row for row in stints if row["outcome"] == "answered"]

    def waited(row: dict[str, Any]) -> float:
        return float((row["left_at"] - row["entered_at"]).total_seconds())

    left = [row for row in stints if row["outcome"] == "abandoned"]
    abandoned = [row for row in left if waited(row) >= row["short_abandon_s"]]

    return {
        "waiting": states["queued"] + states["offering"],
        "offering": states["offering"],
        "in_call": states["assigned"],
        "is_waited_for": bool(in_line),
        "agents_signed_in": sum(a["id"] in live and a["presence"] != "offline" for a in agents),
        "agents_available": sum(a["id"] in live and a["presence"] == "available" and not a["used_units"] for a in agents),
        "agents_busy": sum(a["used_units"] > 0 for a in agents),
        "answered_today": len(answered),
        "abandoned_today": len(abandoned),
        "numerator": sum(waited(row) <= row["within_s"] for row in answered),
        "denominator": len(answered) + len(abandoned),
    }  # fmt: skip


def figures(q: QueueStats) -> dict[str, Any]:
    return {
        "waiting": q.waiting,
        "offering": q.offering,
        "in_call": q.in_call,
        "is_waited_for": q.longest_wait_s is not None,
        "agents_signed_in": q.agents_signed_in,
        "agents_available": q.agents_available,
        "agents_busy": q.agents_busy,
        "answered_today": q.answered_today,
        "abandoned_today": q.abandoned_today,
        "numerator": q.service_level.numerator,
        "denominator": q.service_level.denominator,
    }


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_board_equals_a_plain_recount(floor: Floor, seed: int) -> None:
    """After each of many acts."""
    random = Random(seed)
    await floor.open()
    await floor.arrive("ava", "ben", "dana")
    await floor.execute("UPDATE queues SET zone = 'Asia/Tokyo' WHERE key = 'sales'")
    calls = {}
    for n in range(60):
        act = random.choice(["ring", "ring", "answer", "answer", "hang up", "break", "back", "disconnect", "old"])
        name = random.choice(["ava", "ben", "dana"])
        if act == "ring":
            call = await floor.ring(random.choice(["support", "sales", "de"]), waited_s=random.choice([0, 3, 30]))
            calls[call.item_id] = call
        elif act == "answer":
            for pool in (POOL, DE_POOL):
                await floor.dispatch(pool)
                for who, item, _ in await floor.pending(pool):
                    await floor.talk(calls[item], who)
        elif act == "hang up" and calls:
            await floor.hang_up(calls[random.choice(list(calls))])
        elif act in ("break", "back"):
            await floor.present(name, "break" if act == "break" else "available")
            await floor.connect(name)
        elif act == "disconnect":
            await floor.disconnect(name)
        elif act == "old":
            await floor.execute(
                "WITH s AS (UPDATE stints SET entered_at = entered_at - interval '1 day', left_at = left_at - interval '1 day', "
                "connected_at = connected_at - interval '1 day' WHERE id = (SELECT max(id) FROM stints WHERE left_at IS NOT NULL) "
                "RETURNING work_item_id) UPDATE work_items i SET entered_at = entered_at - interval '1 day', "
                "virtual_start = virtual_start - interval '1 day' FROM s WHERE i.id = s.work_item_id"
            )
        found = await shown(floor)
        for key in ("support", "sales", "de"):
            assert figures(found[key]) == await recounted(floor, key), (n, act, key)


async def test_the_longest_wait_is_that_of_who_is_longest_in_line(floor: Floor) -> None:
    await floor.open(rules="- {name: all, then: {boost_s: 3600}}")
    assert (await shown(floor))["support"].longest_wait_s is None
    await floor.ring(waited_s=30)
    await floor.ring(waited_s=90)
    wait = (await shown(floor))["support"].longest_wait_s
    assert wait is not None
    assert 90 <= wait < 100, "real entry, not virtual start"


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
async def test_the_day_begins_at_midnight_of_the_queues_zone(floor: Floor, zone: str) -> None:
    await floor.open()
    await floor.execute("UPDATE queues SET zone = $1", zone)
    midnight = datetime.combine(datetime.now(ZoneInfo(zone)).date(), time(), ZoneInfo(zone))
    for offset in (-1, 0):
        call = await floor.ring()
        await floor.hang_up(call)
        at = midnight + timedelta(seconds=offset)
        await floor.execute(
            "UPDATE stints SET entered_at = $2::timestamptz, left_at = $2::timestamptz + interval '9 s' WHERE work_item_id = $1",
            call.item_id,
            at,
        )
        await floor.execute("UPDATE work_items SET entered_at = $2, virtual_start = $2 WHERE id = $1", call.item_id, at)
    assert (await shown(floor))["support"].abandoned_today == 1


async def test_service_level_counts_late_answers_and_abandons_but_not_short_ones(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    for waited_s in (19, 21):
        await floor.serve("ava", waited_s=waited_s)
    for waited_s in (4, 6):
        await floor.hang_up(await floor.ring(waited_s=waited_s))
    support = (await shown(floor))["support"]
    level = support.service_level
    assert (level.numerator, level.denominator, level.within_s, level.target) == (1, 3, 20, 0.8)
    assert (support.answered_today, support.abandoned_today) == (2, 1), "as the figures count them"


async def test_an_empty_day_is_nothing_of_nothing(floor: Floor) -> None:
    await floor.open()
    level = (await shown(floor))["de"].service_level
    assert (level.numerator, level.denominator) == (0, 0)


async def test_a_queue_that_is_gone_is_not_shown(floor: Floor) -> None:
    await floor.open()
    await floor.execute("UPDATE queues SET is_active = false WHERE key = 'de'")
    assert set(await shown(floor)) == {"support", "sales"}
    assert set(await shown(floor, floor.agent("ava").user_id)) == {"support"}
