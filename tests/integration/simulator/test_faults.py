"""Faults on request, repeatable by seed, per simulator or per call."""

import asyncio

from simulator.config import Faults
from tests.integration.simulator.service import Asked, World, a_world

VOICE = "/twilio/voice"
LEGS = "<Dial><Number statusCallback='/leg' statusCallbackEvent='initiated ringing answered completed'>+14155550177</Number></Dial>"


async def a_dialled_call(world: World) -> list[str]:
    """Statuses of the dialled leg in the order in which they arrived."""
    world.service.answers[VOICE] = LEGS
    leg = world.call()
    await world.clock.advance(60)
    leg.leave()
    await world.clock.advance(60)
    return [a["SequenceNumber"] for a in world.service.at("/leg")]


async def test_without_faults_nothing_is_missing_or_doubled(world: World) -> None:
    assert sorted(await a_dialled_call(world)) == ["0", "1", "2", "3"]


async def test_duplicates_have_the_same_token_and_the_second_answer_counts() -> None:
    async with a_world(faults=Faults(duplicate=1)) as world:
        world.service.answers[VOICE] = ["<Say>First</Say>", "<Say>Second</Say>"]
        leg = world.call()
        await world.over(leg)
        first, second = world.service.at(VOICE)
        assert [h.text for h in leg.heard] == ["Second"]
    assert first.fields == second.fields
    assert first.headers["I-Twilio-Idempotency-Token"] == second.headers["I-Twilio-Idempotency-Token"]


async def test_concurrent_duplicates_are_under_way_together() -> None:
    async with a_world(faults=Faults(concurrent_duplicate=1)) as world:
        together, arrived = asyncio.Event(), 0

        async def both(_: Asked) -> str:
            nonlocal arrived
            arrived += 1
            if arrived == 2:
                together.set()
            await together.wait()
            return "<Say>Hello</Say>"

        world.service.answers[VOICE] = both
        leg = world.call()
        await world.over(leg)
        assert arrived == 2
        assert [h.text for h in leg.heard] == ["Hello"]


async def test_dropped_callbacks_are_only_in_the_journal() -> None:
    async with a_world(faults=Faults(drop=1)) as world:
        assert await a_dialled_call(world) == []
        assert world.service.at("/twilio/status") == []
        assert len(world.exchange.journal.since(kind="fault")) >= 4
        assert world.service.at(VOICE), "voice webhooks are not dropped"


async def test_reordered_callbacks_all_arrive_but_not_in_order() -> None:
    async with a_world(faults=Faults(reorder=1)) as world:
        arrived = await a_dialled_call(world)
    assert sorted(arrived) == ["0", "1", "2", "3"]
    assert arrived != sorted(arrived)


async def test_delayed_callbacks_arrive_late() -> None:
    async with a_world(faults=Faults(delay=1, delay_s=30)) as world:
        leg = world.call()
        await world.over(leg)
        assert world.service.at("/twilio/status") == []
        await world.clock.advance(31)
        assert len(world.service.at("/twilio/status")) == 1


async def test_faults_can_be_limited_to_some_urls() -> None:
    async with a_world(faults=Faults(duplicate=1, only=("/twilio/status",))) as world:
        await world.over(world.call())
        assert (len(world.service.at(VOICE)), len(world.service.at("/twilio/status"))) == (1, 2)


async def test_a_call_can_have_its_own_faults(world: World) -> None:
    body = {"from": "+1", "to": "+2", "faults": {"drop": 1}}
    async with world.http.post(f"{world.url}/calls", json=body) as response:
        sid = (await response.json())["sid"]
    await world.over(world.exchange.legs[sid])
    await world.over(world.call())
    assert [a["CallSid"] == sid for a in world.service.at("/twilio/status")] == [False]


async def test_the_same_seed_gives_the_same_run() -> None:
    runs = []
    for _ in range(2):
        async with a_world(faults=Faults(duplicate=0.5, drop=0.5, reorder=0.5)) as world:
            runs.append((await a_dialled_call(world), list(world.exchange.legs)))
    assert runs[0] == runs[1]
