"""The service as it runs in production, on the test database, with the provider (the simulator) at the other end of the wire.

    async def test_an_agent_takes_a_call(stack: Stack) -> None:
        ava = await stack.agent("ava")
        leg = await stack.dial()
        offer = await ava.offer()
        ...

Nothing happens by itself: the provider's time is virtual and moves with `stack.pass_time`, timers of the service run with
`stack.fire`, a pass of the dispatcher with `stack.dispatch`, repeats of failed effects with `stack.repeat`. `stack.wire` breaks REST answers.
"""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import urlencode

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from accounts import queries as accounts
from app.apply import apply
from app.org import OrgFile
from app.parts import Parts, open_parts
from app.settings import Settings
from app.web import build_app, serving
from core import demo_account
from infra.tasks import stop_tasks
from routing import service as routing
from simulator.clock import VirtualClock
from simulator.config import Faults, SimulatorConfig
from simulator.provider.exchange import Exchange
from simulator.provider.leg import Leg
from simulator.server import EXCHANGE, create_app
from tests import builders, invariants

ACCOUNT: Final = demo_account.ACCOUNT_SID
SUPPORT, GERMAN, CHINESE = "+14155550199", "+4930901820", "+862155550123"
CALLER: Final = "+14155550123"
NO_CALLBACKS: Final = Faults(drop=1, only=("/twilio/status", "/twilio/conference"))
"""The provider sends none, so that the test sends them as it likes."""
ORG: Final[dict[str, Any]] = {
    "queues": [
        {"key": key, "name": {"en": key.capitalize()}, "wrap_up": {"mode": "timed", "seconds": 30}}
        for key in ("support", "de", "sales")
    ],
    "agents": [
        {"email": f"{name}@example.com", "name": name.capitalize(), "queues": ["support", "de", "sales"]}
        for name in ("ava", "ben", "chen")
    ],
    "numbers": [
        {"number": SUPPORT, "region": "US", "queue": "support", "voice": {"language": "en"}},
        {"number": GERMAN, "region": "DE", "queue": "de", "voice": {"language": "de"}},
        {"number": CHINESE, "region": "CN", "queue": "sales", "voice": {"language": "zh-CN"}},
    ],
    "outbound": {"prefixes": ["+1", "+49"]},
}
SETTLE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content_type: str
    text: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of the next REST request: refused with a status, never executed, or executed and never answered, or on the way until `Wire.let_go`;
    `none` lets one pass."""

    kind: Literal["refused", "hangs", "answer_lost", "held", "none"]
    status: int = 500
    code: int = 20500


@dataclass
class Wire:
    """REST between the service and the provider. `faults` is worked off, one a request; `asked` is what arrived."""

    faults: deque[Fault] = field(default_factory=deque)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    aimed: list[tuple[str, Fault]] = field(default_factory=list)
    """What becomes of the next POST whose path has this in it."""
    seconds_lost: float = 1.0
    """How long an answer is kept back; set the service's own time-out lower."""
    is_down: bool = False
    under_way: asyncio.Event = field(default_factory=asyncio.Event)
    """One is being held."""
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    def requests(self, method: str, part: str = "") -> list[dict[str, str]]:
        return [fields for verb, path, fields in self.asked if verb == method and part in path]

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not request.path.startswith("/twilio/"):
            return await handler(request)
        sent = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append((request.method, request.path_qs, sent))
        fault = Fault("refused", 503) if self.is_down else (self.faults.popleft() if self.faults else None)
        hit = next((each for each in self.aimed if request.method == "POST" and each[0] in request.path), None)
        if hit is not None:
            self.aimed.remove(hit)
            fault = hit[1]
        if fault is None or fault.kind == "none":
            return await handler(request)
        if fault.kind == "refused":
            body = {"code": fault.code, "message": "broken on purpose", "more_info": "", "status": fault.status}
            return web.json_response(body, status=fault.status)
        if fault.kind == "held":
            self.under_way.set()
            async with asyncio.timeout(5):
                await self.let_go.wait()
            return await handler(request)
        response = await handler(request) if fault.kind == "answer_lost" else web.Response(status=504)
        await asyncio.sleep(self.seconds_lost)
        return response


@dataclass(frozen=True, slots=True)
class Agent:
    """A person at a desk: signed in, connected, available."""

    id: int
    name: str
    browser: ClientSession
    stack: "Stack"

    @property
    def identity(self) -> str:
        return f"agent_{self.id}"

    async def offer(self) -> int:
        """The id of the offer that rings here, after a pass of the dispatcher."""
        await self.stack.dispatch()
        found = await self.stack.value("SELECT id FROM offers WHERE agent_id = $1 AND state = 'pending'", self.id)
        assert found is not None, f"nothing rings at {self.name}"
        return int(found)

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with self.browser.request(method, f"/api/v1{path}", json=body if body is not None else {}) as response:
            return response.status, await response.json()

    async def accept(self, offer_id: int) -> int:
        """Returns the call's id; the provider has its command when this returns."""
        status, body = await self.ask("POST", f"/offers/{offer_id}/accept")
        assert status == 200, body
        await self.stack.quiet()
        return int(body["call"]["id"])

    async def pick_up(self, call_id: int) -> Leg:
        """The phone in the desk connects."""
        leg = self.stack.exchange.connect_phone(self.identity, {"CallId": str(call_id)})
        await self.stack.quiet()
        return leg

    async def take_pending(self) -> tuple[int, Leg]:
        """As `take`, what rings already."""
        rings = await self.stack.value("SELECT id FROM offers WHERE agent_id = $1 AND state = 'pending'", self.id)
        call_id = await self.accept(rings)
        return call_id, await self.pick_up(call_id)

    async def take(self) -> tuple[int, Leg]:
        """Offer, accept, pick up: returns the call's id and the leg of the agent's phone."""
        call_id = await self.accept(await self.offer())
        return call_id, await self.pick_up(call_id)


@dataclass
class Stack:
    url: str
    parts: Parts
    http: ClientSession
    exchange: Exchange
    clock: VirtualClock
    wire: Wire
    _open: AsyncExitStack

    # --- the provider asks us ----------------------------------------------------------------------------------------

    async def hook(
        self,
        path: str,
        fields: Mapping[str, str] | Iterable[tuple[str, str]],
        *,
        method: str = "POST",
        token: str | None = None,
        auth_token: str = demo_account.AUTH_TOKEN,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A webhook as the provider sends it: form-encoded and signed. `token` is its idempotency token."""
        form = MultiDict(fields)
        body: str | None = urlencode(list(form.items()))
        url = self.url + path
        if method == "GET":
            url, body, form = f"{url}{'&' if '?' in path else '?'}{body}", None, MultiDict()
        sent = {"X-Twilio-Signature": RequestValidator(auth_token).compute_signature(url, form)}
        if token is not None:
            sent["I-Twilio-Idempotency-Token"] = token
        if body is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        return await self.raw(url.removeprefix(self.url), body, method=method, headers=sent | dict(headers or {}))

    async def raw(
        self, path: str, body: str | bytes | None, *, headers: Mapping[str, str], method: str = "POST"
    ) -> Answer:
        began = asyncio.get_running_loop().time()
        async with self.http.request(
            method, self.url + path, data=body, headers=headers, skip_auto_headers=("Content-Type",)
        ) as response:
            text = await response.text()
            took = asyncio.get_running_loop().time() - began
            return Answer(response.status, response.content_type, text, took)

    # --- people ------------------------------------------------------------------------------------------------------

    async def dial(self, from_: str = CALLER, to: str = SUPPORT, *, faults: Faults | None = None, **fields: str) -> Leg:
        """Somebody calls; the first document is playing when this returns."""
        leg = self.exchange.call_in(from_, to, identity=fields, faults=faults)
        await self.quiet()
        return leg

    async def agent(self, name: str, *, is_available: bool = True) -> Agent:
        """`ava`, `ben` or `chen`, with a desk that stays connected."""
        async with self.parts.resources.outbox.transaction() as tx:
            user = await accounts.user_by_email(tx.conn, email=f"{name}@example.com")
            assert user is not None
            cookie, secret = await builders.a_session(tx, user, self.url)
            if is_available:
                await tx.conn.execute(
                    "INSERT INTO desk_connections (replica, sid, agent_id, lease_until) "
                    "VALUES ('test', $1::text, $2, now() + interval '1 hour')",
                    name,
                    user.id,
                )
                await routing.set_presence(tx, agent_id=user.id, state="available", reason=None, by="test")
        browser = ClientSession(self.url, headers={"Cookie": f"{cookie}={secret}"})
        await self._open.enter_async_context(browser)
        return Agent(user.id, user.name, browser, self)

    # --- what happens only when told ---------------------------------------------------------------------------------

    async def dispatch(self) -> None:
        for row in await self.rows("SELECT DISTINCT pool_id FROM queues"):
            while await self.parts.dispatcher.dispatch(row["pool_id"]):
                pass
        await self.quiet()

    async def fire(self, kind: str) -> int:
        """Make the timers of that kind due and run them. Returns how many there were."""
        due = await self.rows(
            "UPDATE timers SET due_at = now() - interval '1 second' WHERE kind = $1 RETURNING 1", kind
        )
        await self.parts.timers.run_due()
        await self.quiet()
        return len(due)

    async def pass_time(self, seconds: float) -> None:
        """At the provider."""
        await self.until(lambda: False, seconds)

    async def until(self, condition: Callable[[], bool], limit_s: float = 60) -> bool:
        """Let time pass at the provider, a second at most between looks at what the service does after its commits."""
        end = self.clock.now().timestamp() + limit_s
        await self.quiet()
        while not condition():
            left_s = end - self.clock.now().timestamp()
            if left_s <= 0:
                return False
            await self.clock.advance(min(1.0, left_s))
            await self.quiet()
        return True

    async def repeat(self) -> None:
        """What the relay does some seconds later: send undone deliveries again, and hand on what they cause."""
        await self.rows(
            "UPDATE deliveries SET next_at = now() - interval '1 second', lease_until = NULL, last_error = NULL "
            "WHERE done_at IS NULL AND parked_at IS NULL RETURNING 1"
        )
        await self.parts.resources.outbox.relay_once()
        await self.quiet()

    async def quiet(self) -> None:
        """Until nothing more happens by itself: webhooks answered, effects done or failed, consumers finished."""
        outbox = self.parts.resources.outbox
        async with asyncio.timeout(SETTLE_S):
            clean = 0
            while clean < 2:
                await self.clock.settle()
                await outbox.drain()
                is_busy = await self.value(
                    "SELECT EXISTS (SELECT 1 FROM deliveries WHERE done_at IS NULL AND parked_at IS NULL AND last_error IS NULL)"
                )
                clean = 0 if is_busy else clean + 1
                if is_busy:
                    await asyncio.sleep(0.005)

    # --- what is true ------------------------------------------------------------------------------------------------

    async def rows(self, statement: str, *values: Any) -> list[Any]:
        async with self.parts.resources.database.acquire() as conn:
            return list(await conn.fetch(statement, *values))

    async def value(self, statement: str, *values: Any) -> Any:
        async with self.parts.resources.database.acquire() as conn:
            return await conn.fetchval(statement, *values)

    async def count(self, table: str) -> int:
        return int(await self.value(f"SELECT count(*) FROM {table}"))

    async def call(self, sid: str) -> Any:
        """The row of the call with this CallSid."""
        found = await self.rows("SELECT * FROM calls WHERE sid = $1", sid)
        assert len(found) == 1, f"{len(found)} calls with the sid {sid}"
        return found[0]

    async def settle_down(self) -> None:
        """At the end: what was left undone by broken wires is done now."""
        self.wire.is_down = False
        self.wire.faults.clear()
        await self.quiet()
        if await self.value("SELECT EXISTS (SELECT 1 FROM deliveries WHERE done_at IS NULL)"):
            await self.repeat()

    async def broken(self) -> dict[str, list[object]]:
        async with self.parts.resources.database.acquire() as conn:
            return await invariants.broken(conn)


@asynccontextmanager
async def running_stack(database_url: str, redis_url: str, *, pool: int = 10, **more: Any) -> AsyncIterator[Stack]:
    """A whole service with the organisation above, on a free port, and a simulator as its provider."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.setblocking(False)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    clock, wire = VirtualClock(start=datetime.now(UTC).replace(microsecond=0)), Wire()
    provider = create_app(SimulatorConfig(service_base_url=url, clock=clock, seed=7))
    provider.middlewares.append(wire.middleware)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(TestServer(provider))
        settings = Settings(public_url=url, twilio_api_base=f"{server.make_url('/twilio')}", database_pool=pool, **more)
        parts = await stack.enter_async_context(
            open_parts(
                settings, database_url=database_url, redis_url=redis_url, rabbitmq_url=None, public_url=url, relay=False
            )
        )  # fmt: skip
        outbox = parts.resources.outbox
        async with outbox.transaction() as tx:
            await apply(tx, OrgFile.model_validate(ORG), by="test")
        await parts.telephony.lines.refresh(parts.resources.database)
        await parts.resources.broker.declare(outbox.consumers, [])
        loops = [asyncio.create_task(outbox.run()), asyncio.create_task(outbox.consume())]
        stack.push_async_callback(stop_tasks, loops)
        await stack.enter_async_context(serving(await build_app(parts), listener))
        http = await stack.enter_async_context(ClientSession())
        yield Stack(url, parts, http, provider[EXCHANGE], clock, wire, stack)
