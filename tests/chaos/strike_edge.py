"""What a provider, or somebody who plays one, may do to a webhook."""

import asyncio
import contextlib
import time
from typing import Final
from urllib.parse import urlencode, urlsplit

from aiohttp import ClientSession, ClientTimeout
from twilio.request_validator import RequestValidator

from core import demo_account
from tests.chaos.loads import GERMAN
from tests.chaos.scene import TOLD_WITHIN_S, Scene, a_call
from tests.crowd import crowd

TWINS: Final = 50
HALF_OPEN: Final = 300
VOICE: Final = "/twilio/voice"


async def twins(scene: Scene) -> None:
    """One ticket, one answer, fifty times."""
    call = a_call()
    answers = await asyncio.gather(
        *(scene.hook(VOICE, call, token=f"twin-{call['CallSid']}", replica=n % 2) for n in range(TWINS))
    )
    assert {status for status, _ in answers} == {200}
    queued = {text for _, text in answers if "<Enqueue" in text}
    assert len(queued) == 1, queued
    rows = await scene.stack.fetch("SELECT 1 FROM calls WHERE sid = $1", call["CallSid"])
    assert len(rows) == 1
    await scene.hang_up(call)
    await scene.assert_one_ticket(call["CallSid"])
    scene.proved(len(answers))


async def backwards(scene: Scene) -> None:
    """The end is told first, then the beginning, then what was in between: the call stays over."""
    call = a_call()
    await scene.hang_up(call)
    status, _ = await scene.hook(VOICE, call)
    assert status == 200
    steps = [("ringing", "0"), ("in-progress", "1"), ("ringing", "0")]
    scene.rng.shuffle(steps)
    for state, number in steps:
        await scene.hook("/twilio/status", {**call, "CallStatus": state, "SequenceNumber": number})
    await scene.assert_one_ticket(call["CallSid"])
    rows = await scene.stack.fetch("SELECT state FROM calls WHERE sid = $1 AND outcome IS NOT NULL", call["CallSid"])
    assert len(rows) == 1
    scene.proved(len(steps) + 2)


async def a_day_late(scene: Scene) -> None:
    """The same webhook after 25 hours: the same answer, nothing new."""
    call, token = a_call(), "late"
    _, first = await scene.hook(VOICE, call, token=token + call["CallSid"])
    await scene.hang_up(call)
    await scene.assert_one_ticket(call["CallSid"])
    async with scene.session() as conn:
        await conn.execute(
            "UPDATE provider_events SET received_at = received_at - interval '25 hours' WHERE call_sid = $1",
            call["CallSid"],
        )
    before = await scene.stack.fetch("SELECT count(*) FROM tickets")
    status, again = await scene.hook(VOICE, call, token=token + call["CallSid"], replica=1)
    assert (status, again) == (200, first)
    await scene.assert_one_ticket(call["CallSid"])
    assert before
    scene.proved()


async def hung_up_in_the_middle(scene: Scene) -> None:
    """After the head, in the middle of the body, and before the answer: nothing or all of it, and the retry finds its place."""
    call = a_call()
    body = urlencode(call).encode()
    signature = RequestValidator(demo_account.AUTH_TOKEN).compute_signature(scene.stack.public_url + VOICE, call)
    head = (
        f"POST {VOICE} HTTP/1.1\r\nHost: ringdesk\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\nX-Twilio-Signature: {signature}\r\n\r\n"
    ).encode()
    for piece in (head, head + body[: len(body) // 2], head + body):
        _, writer = await _connect(scene)
        writer.write(piece)
        await writer.drain()
        writer.transport.abort()
        scene.proved()
    status, text = await scene.hook(VOICE, call)
    assert status == 200
    assert "<Enqueue" in text or "/twilio/voice?r=" in text
    await scene.hang_up(call)
    await scene.assert_one_ticket(call["CallSid"])


async def half_open(scene: Scene) -> None:
    """Hundreds begin a request and never end it: everybody else is served."""
    writers = []
    try:
        for _ in range(HALF_OPEN):
            _, writer = await _connect(scene)
            writer.write(b"POST /twilio/voice HTTP/1.1\r\nHost: ringdesk\r\nX-Slow: ")
            writers.append(writer)
        scene.proved(len(writers))
        call, began = a_call(), time.monotonic()
        status, _ = await scene.hook(VOICE, call)
        assert status == 200
        assert time.monotonic() - began < TOLD_WITHIN_S * crowd()
        await scene.hang_up(call)
        await scene.assert_one_ticket(call["CallSid"])
    finally:
        for writer in writers:
            writer.transport.abort()


async def ugly_bodies(scene: Scene) -> None:
    """Too large, not UTF-8, no form, unsigned, empty: refused, and nothing is kept of it."""
    before = await scene.stack.fetch("SELECT count(*) AS n FROM calls WHERE from_raw = 'ugly'")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    bodies = [
        (b"x=" + b"a" * 70_000, form),
        (b"From=%ff%fe&CallSid=CA1", form),
        (b"\xff\xfe\x00", form),
        (b'{"CallSid": "CA1"}', {"Content-Type": "application/json"}),
        (urlencode(a_call(From="ugly")).encode(), form),
        (b"", form),
    ]
    async with ClientSession(timeout=ClientTimeout(total=10)) as http:
        for body, headers in bodies:
            with contextlib.suppress(ConnectionError):
                async with http.post(scene.stack.replicas[0] + VOICE, data=body, headers=headers) as answer:
                    assert 400 <= answer.status < 500, (answer.status, body[:40])
                    assert "Traceback" not in await answer.text()
                    scene.proved()
    assert await scene.stack.fetch("SELECT count(*) AS n FROM calls WHERE from_raw = 'ugly'") == before


async def everything_away(scene: Scene) -> None:
    """Postgres, RabbitMQ and Redis stop at once: a caller is told to come back, in time, and comes back."""
    stack = scene.stack
    with stack.postgres.frozen(), stack.redis.frozen():
        stack.rabbit.freeze()
        try:
            call, began = a_call(), time.monotonic()
            status, text = await scene.hook(VOICE, call)
            took_s = time.monotonic() - began
            patient = await scene.load.call(GERMAN)
            await scene.lasts(3)
        finally:
            stack.rabbit.thaw()
    assert status == 200
    assert "/twilio/voice?r=" in text
    assert took_s < TOLD_WITHIN_S * crowd(), took_s

    async def is_known() -> bool:
        return bool(await stack.fetch("SELECT 1 FROM calls WHERE sid = $1", patient))

    await scene.seen(is_known, "the caller comes back")
    await scene.hook(f"{VOICE}?r=1", call)
    await scene.hang_up(call)
    await scene.assert_one_ticket(call["CallSid"])
    scene.proved()


async def _connect(scene: Scene) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    where = urlsplit(scene.stack.replicas[0])
    assert where.hostname is not None
    return await asyncio.open_connection(where.hostname, where.port)
