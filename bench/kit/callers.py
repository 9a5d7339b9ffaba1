"""The load of `call_to_pop`: callers, the provider's webhooks and REST, agents and their desks, all in a process of its own.

Open loop: a call starts when it is due, however the calls before it fare, and its time counts from that moment. Orders come as lines of
JSON on standard input (`connect`, `calls`), answers go to standard output.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import random
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web

from accounts.cookies import cookie_name
from bench.kit.centre import LINE, Person, phone_of
from bench.kit.process import raise_file_limit
from bench.kit.report import quantile
from bench.kit.wire import Desk, connect
from core import demo_account

CALL_WITHIN_S: Final = 20.0
TALK_S: Final = 0.2
CONNECT_AT_ONCE: Final = 16
MOST_TRIES: Final = 10
ORIGIN: Final = {
    "ApiVersion": "2010-04-01", "AccountSid": demo_account.ACCOUNT_SID, "Direction": "inbound", "Called": LINE, "CalledCountry": "US",
    "CallerCountry": "US", "CallerCity": "NEW YORK", "CallerState": "NY", "CallerZip": "10001", "FromCountry": "US", "FromCity": "NEW YORK",
    "FromState": "NY", "FromZip": "10001", "ToCountry": "US", "ToCity": "", "ToState": "CA", "ToZip": "",
}  # fmt: skip


@dataclass(slots=True)
class Call:
    phone: str
    sid: str
    due: float
    is_whole: bool
    pop: asyncio.Future[tuple[int, int]]
    """(offer, agent)"""
    redirected: asyncio.Future[None]
    ms: float | None = None
    answer_ms: float | None = None


@dataclass
class Centre:
    public_url: str
    hooks: list[str]
    """Where webhooks go, in turn."""
    http: ClientSession
    people: dict[int, Person] = field(default_factory=dict)
    homes: dict[int, str] = field(default_factory=dict)
    desks: dict[int, Desk] = field(default_factory=dict)
    by_phone: dict[str, Call] = field(default_factory=dict)
    by_sid: dict[str, Call] = field(default_factory=dict)
    shown: set[int] = field(default_factory=set)
    shown_twice: int = 0
    turn: int = 0

    # --- desks -------------------------------------------------------------------------------------------------------

    async def sit_down(self, person: Person, url: str, gate: asyncio.Semaphore) -> None:
        async with gate:
            for left in reversed(range(MOST_TRIES)):
                try:
                    answer = await self.ask(url, person, "/realtime-ticket", {})
                    break
                except RuntimeError:  # busy: as a page does, again after a moment
                    if not left:
                        raise
                    await asyncio.sleep(0.5)
            self.people[person.id], self.homes[person.id] = person, url
            self.desks[person.id] = await connect(url, person.id, answer["ticket"], self.on_event)

    async def ask(self, url: str, person: Person, path: str, body: Mapping[str, Any]) -> Any:
        headers = {"Cookie": f"{cookie_name(self.public_url)}={person.secret}", "Content-Type": "application/json"}
        async with self.http.post(f"{url}/api/v1{path}", data=orjson.dumps(body), headers=headers) as answer:
            text = await answer.read()
            if answer.status >= 400:
                raise RuntimeError(f"{path}: {answer.status} {text[:300]!r}")
            return orjson.loads(text) if text else None

    def on_event(self, desk: Desk, body: bytes) -> None:
        at = time.perf_counter()
        if body.startswith((b'["queue_stats"', b'["snapshot"')):
            return
        name, message = orjson.loads(body)
        if message["seq"] is not None:
            desk.emit(b'["ack",{"seq":%d}]' % message["seq"])
        if name != "screen_pop":
            return
        data = message["data"]
        call = self.by_phone.get(data["call"]["from"])
        if data["offer_id"] in self.shown:
            self.shown_twice += 1
        elif call is not None and not call.pop.done():
            self.shown.add(data["offer_id"])
            call.ms = (at - call.due) * 1000
            call.pop.set_result((data["offer_id"], desk.owner))

    # --- calls -------------------------------------------------------------------------------------------------------

    async def hook(self, path: str, fields: Mapping[str, str]) -> str:
        """Signed, as the provider does it."""
        form = ORIGIN | dict(fields)
        signed = self.public_url + path + "".join(name + form[name] for name in sorted(form))
        digest = hmac.digest(demo_account.AUTH_TOKEN.encode(), signed.encode(), hashlib.sha1)
        headers = {
            "X-Twilio-Signature": base64.b64encode(digest).decode(),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        self.turn += 1
        base = self.hooks[self.turn % len(self.hooks)]
        async with self.http.post(base + path, data=urlencode(form), headers=headers) as answer:
            text = await answer.text()
            if answer.status >= 300:
                raise RuntimeError(f"{path}: {answer.status} {text[:300]}")
            return text

    async def call(self, call: Call) -> None:
        """The path that is measured, and with `is_whole` all that follows."""
        leg = {"CallSid": call.sid, "From": call.phone, "Caller": call.phone, "To": LINE}
        await self.hook("/twilio/voice", leg | {"CallStatus": "ringing"})
        call.answer_ms = (time.perf_counter() - call.due) * 1000
        offer, agent = await call.pop
        if call.is_whole:
            await self.talk(call, leg, offer, agent)

    async def talk(self, call: Call, leg: dict[str, str], offer: int, agent: int) -> None:
        person, home = self.people[agent], self.homes[agent]
        accepted = (await self.ask(home, person, f"/offers/{offer}/accept", {}))["call"]
        await call.redirected
        talking = leg | {"CallStatus": "in-progress"}
        phone = {
            "CallSid": "CA" + hashlib.sha256(f"{call.sid}a".encode()).hexdigest()[:32],
            "From": f"client:agent_{agent}",
            "To": "",
        }
        room = {"FriendlyName": accepted["conference"], "ConferenceSid": "CF" + call.sid[2:]}
        await self.hook("/twilio/queue/done", talking | {"QueueResult": "redirected", "QueueTime": "1"})
        await self.seat(room, leg, "participant-join", 1)
        await self.hook("/twilio/agent", phone | {"CallStatus": "in-progress", "CallId": str(accepted["id"])})
        await self.seat(room, phone, "participant-join", 2)
        await asyncio.sleep(TALK_S)
        await self.seat(room, leg, "participant-leave", 3)
        await self.hook("/twilio/dial/done", leg | {"CallStatus": "completed", "DialCallStatus": "completed"})
        await self.hook("/twilio/status", leg | {"CallStatus": "completed", "CallDuration": "12"})
        await self.seat(room, phone, "participant-leave", 4)
        await self.hook("/twilio/status", phone | {"CallStatus": "completed", "CallDuration": "11"})
        await self.ask(home, person, f"/calls/{accepted['id']}/wrap-up", {"disposition": None, "note": None})

    async def seat(self, room: dict[str, str], leg: dict[str, str], event: str, number: int) -> None:
        left = {"ParticipantCallStatus": "completed"} if event == "participant-leave" else {}
        await self.hook(
            "/twilio/conference",
            room | left | {"CallSid": leg["CallSid"], "StatusCallbackEvent": event, "SequenceNumber": str(number)},
        )

    async def redirect(self, request: web.Request) -> web.Response:
        """The provider's REST: a leg gets a new document."""
        sid = request.match_info["sid"]
        await request.read()
        call = self.by_sid.get(sid)
        if call is not None and not call.redirected.done():
            call.redirected.set_result(None)
        return web.json_response({"sid": sid, "status": "in-progress", "account_sid": demo_account.ACCOUNT_SID})

    async def no_calls(self, _: web.Request) -> web.Response:
        """For the reconciler."""
        return web.json_response({"calls": [], "next_page_uri": None, "page": 0, "page_size": 50})


async def calls(centre: Centre, order: Mapping[str, Any]) -> dict[str, Any]:
    """`rate` calls a second for `seconds`, from customers `first`, …; the first `warm_up` of them are not reported."""
    loop, chance = asyncio.get_running_loop(), random.Random(order["seed"])
    due, began = time.perf_counter() + 0.05, time.perf_counter()
    cpu = cpu_of_self()
    started: list[Call] = []
    late: list[float] = []
    tasks: list[asyncio.Task[None]] = []
    for number in range(int(order["count"])):
        phone = phone_of(order["first"] + number)
        sid = "CA" + hashlib.sha256(f"{order['seed']} {phone} {began}".encode()).hexdigest()[:32]
        call = Call(phone, sid, due, bool(order["whole"]), loop.create_future(), loop.create_future())
        centre.by_phone[phone] = centre.by_sid[sid] = call
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        late.append((time.perf_counter() - due) * 1000)
        tasks.append(asyncio.create_task(centre.call(call)))
        started.append(call)
        due += chance.expovariate(order["rate"])
    took = time.perf_counter() - began
    done, undone = await asyncio.wait(tasks, timeout=CALL_WITHIN_S)
    finished = time.perf_counter() - began
    for task in undone:
        task.cancel()
    await asyncio.gather(*undone, return_exceptions=True)
    failures = [str(task.exception()) for task in done if not task.cancelled() and task.exception() is not None]
    used = cpu_of_self() - cpu
    centre.by_phone.clear()
    centre.by_sid.clear()
    measured = started[order["warm_up"] :]
    return {
        "ms": [round(call.ms, 3) for call in measured if call.ms is not None],
        "answer_ms": [round(call.answer_ms, 3) for call in measured if call.answer_ms is not None],
        "lost": sum(call.ms is None for call in started),
        "unfinished": len(undone),
        "failures": failures[:3],
        "failed": None,
        "shown_twice": centre.shown_twice,
        "late_p99_ms": round(quantile(late, 0.99), 3),
        "own_cpu": round(used / finished, 3),
        "seconds": round(took, 2),
        "finished_s": round(finished, 2),
    }


def cpu_of_self() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def connect_all(centre: Centre, order: Mapping[str, Any]) -> dict[str, Any]:
    began = time.perf_counter()
    gate = asyncio.Semaphore(CONNECT_AT_ONCE)
    urls: list[str] = order["urls"]
    people = [Person(*each) for each in order["people"]]
    async with asyncio.TaskGroup() as tasks:
        for n, person in enumerate(people):
            tasks.create_task(centre.sit_down(person, urls[n % len(urls)], gate))
    return {"seconds": round(time.perf_counter() - began, 2), "connected": len(centre.desks)}


async def serve(provider_port: int) -> None:
    raise_file_limit()
    reader = asyncio.StreamReader(limit=64 * 2**20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with contextlib.AsyncExitStack() as stack:
        connector = TCPConnector(limit=0, keepalive_timeout=60)
        http = await stack.enter_async_context(ClientSession(connector=connector, cookie_jar=DummyCookieJar()))
        centre = Centre("", [], http)
        provider = web.Application()
        provider.router.add_post("/2010-04-01/Accounts/{account}/Calls/{sid}.json", centre.redirect)
        provider.router.add_get("/2010-04-01/Accounts/{account}/Calls.json", centre.no_calls)
        runner = web.AppRunner(provider, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", provider_port).start()
        while line := await reader.readline():
            answer = await _obey(centre, orjson.loads(line))
            sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
            sys.stdout.buffer.flush()
        for desk in centre.desks.values():
            desk.abort()


async def _obey(centre: Centre, order: dict[str, Any]) -> dict[str, Any]:
    try:
        if order["do"] == "connect":
            centre.public_url, centre.hooks = order["public_url"], order["hooks"]
            return await connect_all(centre, order)
        answer = await calls(centre, order)
        answer.pop("failed")
        return answer
    except Exception as error:  # the other side of the pipe judges it
        if isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        return {"failed": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(int(sys.argv[1])))
