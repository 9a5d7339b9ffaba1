"""Postgres gone: every voice webhook is answered within two seconds in the number's language, and nobody is lost."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import asyncpg
import pytest

from infra.postgres import open_database
from simulator.provider.leg import Leg
from tests import invariants
from tests.integration.cti.payloads import conference_event, new_sid, queue_done, standard, status_callback
from tests.link import Link, Mode, link_to_postgres
from tests.stack import CHINESE, GERMAN, SUPPORT, Answer, Stack, running_stack

WITHIN_S: Final = 2.0
SAID: Final = {SUPPORT: "technical problem", GERMAN: "technische Störung", CHINESE: "系统暂时出现故障"}
VOICE: Final = (
    "/twilio/voice",
    "/twilio/voice/fallback",
    "/twilio/queue/done",
    "/twilio/dial/done",
    "/twilio/ivr",
    "/twilio/voicemail/done",
)


@dataclass
class World:
    stack: Stack
    link: Link
    url: str
    """Of the database, over the link."""
    lag_s: float = 0.0
    """How long this process was kept from running: on a crowded machine that is not the service's doing."""

    async def watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(0.02)
            self.lag_s += max(0.0, loop.time() - began - 0.025)

    def check(self, answer: Answer) -> None:
        assert (answer.status, answer.content_type) == (200, "text/xml")
        assert answer.seconds - self.lag_s < WITHIN_S

    async def is_back(self) -> None:
        """The link is whole and the pool has noticed."""
        await self.link.set(Mode.PASS)
        async with asyncio.timeout(15):
            while True:
                try:
                    await self.stack.value("SELECT 1")
                except Exception:  # whatever the broken connections raise while they are given up
                    await asyncio.sleep(0.05)
                else:
                    return


@pytest.fixture
async def world(database_url: str, redis_url: str, clean: None) -> AsyncIterator[World]:
    """A service whose database can be taken away; the invariants are asked over another road."""
    async with link_to_postgres(database_url) as (link, url), running_stack(url, redis_url) as stack:
        built = World(stack, link, url)
        watch = asyncio.create_task(built.watch())
        yield built
        watch.cancel()
        await built.is_back()
        await stack.settle_down()
    async with open_database(database_url, size=2) as direct, direct.acquire() as conn:
        assert await invariants.broken(conn) == {}


@pytest.mark.parametrize("how", [Mode.SWALLOW, Mode.RESET])
async def test_every_voice_webhook_is_answered_in_time_and_in_its_language(world: World, how: Mode) -> None:
    stack = world.stack
    await world.link.set(how)
    world.lag_s = 0
    asked = [(path, number) for path in VOICE for number in SAID]
    answers = await asyncio.gather(
        *(stack.hook(path, standard(new_sid(), to=number, QueueResult="error")) for path, number in asked)
    )
    for (path, number), answer in zip(asked, answers, strict=True):
        world.check(answer)
        assert SAID[number] in answer.text, (path, number)
        assert '<Pause length="8" />' in answer.text
        assert f"{stack.url}/twilio/voice?r=1</Redirect>" in answer.text
    waits = await asyncio.gather(*(stack.hook("/twilio/queue/wait", standard(new_sid(), to=number)) for number in SAID))
    for answer in waits:
        world.check(answer)
        assert "<Pause" in answer.text
        assert "<Redirect" not in answer.text, "a caller in line stays there"


async def test_pool_that_is_closed_is_answered_around(world: World) -> None:
    await world.stack.parts.resources.database.pool.close()
    answer = await world.stack.hook("/twilio/voice", standard(new_sid(), to=GERMAN))
    world.check(answer)
    assert SAID[GERMAN] in answer.text
    world.stack.parts.resources.database.pool = await asyncpg.create_pool(world.url, min_size=1, max_size=4)


async def test_callbacks_say_that_they_were_not_taken(world: World) -> None:
    """Not 2xx: the provider may repeat, and the reconciler makes up for the rest."""
    await world.link.set(Mode.RESET)
    for path, fields in (
        ("/twilio/status", status_callback(new_sid())),
        ("/twilio/conference", conference_event(1, "participant-join", sid=new_sid(), sequence=1)),
    ):
        answer = await world.stack.hook(path, fields)
        assert (answer.status, answer.content_type) == (503, "application/problem+json")
        assert answer.seconds - world.lag_s < WITHIN_S


async def test_forged_requests_get_no_emergency_answer(world: World) -> None:
    await world.link.set(Mode.RESET)
    for path in (*VOICE, "/twilio/queue/wait", "/twilio/agent"):
        assert (await world.stack.hook(path, standard(new_sid()), auth_token="forged")).status == 403


async def test_caller_is_sent_round_until_the_database_is_back_and_has_one_ticket(world: World) -> None:
    stack = world.stack
    await world.link.set(Mode.RESET)
    leg = await _dial_in_the_dark(stack)
    await _pass_in_the_dark(stack, 30)
    assert not leg.is_over
    assert [heard.text[:17] for heard in leg.heard] == ["We are having a t"], (
        "not every eight seconds the same sentence"
    )
    rounds = [e["url"].rpartition("?r=")[2] for e in stack.exchange.journal.since(kind="webhook", sid=leg.sid)]
    assert rounds[1:] == [str(n) for n in range(1, len(rounds))]
    await world.is_back()
    await stack.pass_time(30)
    call = await stack.call(leg.sid)
    assert (call["state"], leg.queue_name) == ("queued", "ringdesk")
    assert await stack.count("tickets") == await stack.count("work_items") == 1
    assert not any(heard.text.startswith("Welcome") for heard in leg.heard), "greeted is who comes in by the front door"
    leg.leave()
    await stack.quiet()


async def test_caller_who_gives_up_in_the_dark_is_found_afterwards(world: World) -> None:
    stack = world.stack
    await world.link.set(Mode.RESET)
    leg = await _dial_in_the_dark(stack)
    await _pass_in_the_dark(stack, 10)
    leg.leave()
    await _pass_in_the_dark(stack, 1)
    await world.is_back()
    assert await stack.count("calls") == 0
    assert await stack.parts.reconciler.once() == 1
    call = await stack.call(leg.sid)
    assert (call["outcome"], call["source"], call["from_value"]) == ("abandoned_ivr", "reconciled", leg.from_)


async def test_waiting_caller_keeps_the_place_through_the_dark(world: World) -> None:
    """Known before: the wait document goes quiet, an error of the line leads round, and the call is still the same."""
    stack = world.stack
    leg = await stack.dial(to=GERMAN)
    before = dict(await stack.call(leg.sid))
    await world.link.set(Mode.RESET)
    answer = await stack.hook("/twilio/queue/done", queue_done(leg.sid, "error", waited_s=0, to=GERMAN))
    assert SAID[GERMAN] in answer.text
    await world.is_back()
    again = await stack.hook("/twilio/voice?r=1", standard(leg.sid, to=GERMAN, status="in-progress"))
    assert "<Enqueue" in again.text
    assert "<Say" not in again.text
    assert dict(await stack.call(leg.sid)) == before
    assert await stack.count("tickets") == 1


async def test_talking_caller_comes_back_into_the_conversation(world: World) -> None:
    """The result of the dial could not be taken: sent round, the caller is put back to the agent who still waits there."""
    stack = world.stack
    ava = await stack.agent("ava")
    leg = await stack.dial()
    call_id, _ = await ava.take()
    await world.link.set(Mode.RESET)
    done = standard(leg.sid, status="in-progress", DialCallStatus="answered")
    assert "/twilio/voice?r=1" in (await stack.hook("/twilio/dial/done?o=1", done)).text
    await world.is_back()
    again = await stack.hook("/twilio/voice?r=1", standard(leg.sid, status="in-progress"))
    assert f">call_{call_id}</Conference>" in again.text
    assert 'participantLabel="customer"' in again.text
    assert (await stack.call(leg.sid))["state"] == "in_call"


@pytest.mark.parametrize("how", [Mode.SWALLOW, Mode.RESET])
async def test_agents_phone_asks_again_at_its_own_door(world: World, how: Mode) -> None:
    """Never `/twilio/voice`: there the phone would become a customer's call."""
    stack = world.stack
    ava = await stack.agent("ava")
    leg = await stack.dial()
    call_id = await ava.accept(await ava.offer())
    await world.link.set(how)
    world.lag_s = 0
    phone = standard(new_sid(), from_=f"client:{ava.identity}", to="", CallId=str(call_id))
    bare = {name: value for name, value in phone.items() if name != "CallId"}
    doors = ("/twilio/agent", "/twilio/voice", "/twilio/voice/fallback")
    *first, second, done = await asyncio.gather(
        *(stack.hook(path, phone) for path in doors),
        stack.hook(f"/twilio/agent?r=1&CallId={call_id}", bare),
        stack.hook("/twilio/dial/done?o=1", phone | {"DialCallStatus": "answered"}),
    )
    for answer in first:
        world.check(answer)
        assert "/twilio/voice" not in answer.text
        assert f"{stack.url}/twilio/agent?r=1&amp;CallId={call_id}</Redirect>" in answer.text
    world.check(second)
    assert f"/twilio/agent?r=2&amp;CallId={call_id}</Redirect>" in second.text
    assert "<Say" not in second.text
    world.check(done)
    assert "<Redirect" not in done.text, "the conversation is over, and so is this leg"
    await world.is_back()
    back = await stack.hook(f"/twilio/agent?r=2&CallId={call_id}", bare)
    assert f">call_{call_id}</Conference>" in back.text
    assert await stack.count("calls") == 1
    assert not leg.is_over


@pytest.mark.parametrize("how", [Mode.SWALLOW, Mode.RESET])
async def test_agents_telephone_is_asked_once_more_when_the_database_is_back(world: World, how: Mode) -> None:
    """Never `/twilio/voice`: there the telephone would become a customer's call."""
    stack = world.stack
    await world.link.set(how)
    world.lag_s = 0
    fields = standard(new_sid(), from_=SUPPORT, to="+4915112345678", Digits="1")
    first = await stack.hook("/twilio/telephone?o=7&n=2", fields)
    last = await stack.hook("/twilio/telephone?o=7&n=2&r=15", fields)
    nobody = await stack.hook("/twilio/telephone", fields)
    for answer in (first, last, nobody):
        world.check(answer)
        assert "/twilio/voice" not in answer.text
    assert f"{stack.url}/twilio/telephone?o=7&amp;n=2&amp;r=1</Redirect>" in first.text
    assert "<Hangup" in last.text
    assert "<Hangup" in nobody.text
    await world.is_back()
    assert await stack.count("calls") == 0


async def test_agents_phone_joins_by_itself_when_the_database_is_back(world: World) -> None:
    stack = world.stack
    ava = await stack.agent("ava")
    leg = await stack.dial()
    call_id = await ava.accept(await ava.offer())
    await world.link.set(Mode.RESET)
    phone = stack.exchange.connect_phone(ava.identity, {"CallId": str(call_id)})
    await _pass_in_the_dark(stack, 8)
    assert not phone.is_over
    await world.is_back()
    await stack.until(lambda: phone.is_talking, 30)
    assert leg.is_talking
    assert (await stack.call(leg.sid))["state"] == "in_call"
    assert await stack.count("calls") == 1


async def test_lock_that_is_held_too_long_is_not_waited_for(world: World) -> None:
    """Not the database but one row is stuck: the caller hears us in time and is the same call afterwards."""
    stack = world.stack
    leg = await stack.dial()
    async with stack.parts.resources.database.acquire() as conn, conn.transaction():
        await conn.execute("SELECT 1 FROM calls WHERE sid = $1 FOR UPDATE", leg.sid)
        answer = await stack.hook("/twilio/dial/done?o=1", standard(leg.sid, status="in-progress"))
        world.check(answer)
        assert "/twilio/voice?r=1" in answer.text
    again = await stack.hook("/twilio/voice?r=1", standard(leg.sid, status="in-progress"))
    assert "<Enqueue" in again.text
    assert await stack.count("tickets") == 1


async def _dial_in_the_dark(stack: Stack) -> Leg:
    leg = stack.exchange.call_in("+14155550123", SUPPORT)
    await stack.clock.settle()
    return leg


async def _pass_in_the_dark(stack: Stack, seconds: int) -> None:
    for _ in range(seconds):
        await stack.clock.advance(1)
