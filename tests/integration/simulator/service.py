"""A small service that answers the simulator's webhooks as a test tells it to, and keeps what it was asked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import ClientSession, web
from aiohttp.test_utils import BaseTestServer, TestServer
from twilio.request_validator import RequestValidator

from core import demo_account
from simulator.clock import VirtualClock
from simulator.config import SimulatorConfig
from simulator.provider.exchange import Exchange
from simulator.provider.leg import Leg
from simulator.server import EXCHANGE, create_app

Reply = str | web.Response | Callable[["Asked"], Awaitable["str | web.Response"]]


@dataclass(frozen=True)
class Asked:
    path: str
    fields: dict[str, str]
    headers: dict[str, str]
    is_signed: bool

    def __getitem__(self, name: str) -> str:
        return self.fields[name]


@dataclass
class Service:
    """`answers[path]` is what is said there; a list is worked off and its last entry stays."""

    answers: dict[str, Reply | list[Reply]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def at(self, path: str) -> list[Asked]:
        return [a for a in self.asked if a.path == path]

    def events(self, path: str, name: str) -> list[str]:
        return [a.fields[name] for a in self.at(path) if name in a.fields]

    async def handle(self, request: web.Request) -> web.Response:
        posted = {k: v for k, v in (await request.post()).items() if isinstance(v, str)}
        validator = RequestValidator(demo_account.AUTH_TOKEN)
        is_signed = validator.validate(
            self.url + request.raw_path, posted, request.headers.get("X-Twilio-Signature", "")
        )
        asked = Asked(request.path, posted | dict(request.query), dict(request.headers), is_signed)
        self.asked.append(asked)
        reply = self.answers.get(request.path, "")
        if isinstance(reply, list):
            reply = reply.pop(0) if len(reply) > 1 else reply[0]
        if callable(reply):
            reply = await reply(asked)
        if isinstance(reply, web.Response):
            return reply
        return twiml(reply)


def twiml(verbs: str) -> web.Response:
    return web.Response(text=f"<Response>{verbs}</Response>", content_type="text/xml")


@dataclass
class World:
    service: Service
    exchange: Exchange
    clock: VirtualClock
    server: BaseTestServer
    """The simulator's."""
    http: ClientSession

    @property
    def url(self) -> str:
        return str(self.server.make_url("")).rstrip("/")

    @property
    def rest_base(self) -> str:
        return f"{self.url}/twilio"

    def call(self, from_: str = "+14155550100", to: str = "+14155550199") -> Leg:
        return self.exchange.call_in(from_, to)

    async def until(self, condition: Callable[[], bool], limit_s: float = 600) -> None:
        assert await self.clock.run_until(condition, limit_s), "it did not happen in time"

    async def over(self, leg: Leg) -> None:
        await self.until(lambda: leg.is_over)
        await self.clock.settle()


def settings(service_url: str, **more: object) -> SimulatorConfig:
    config = {
        "service_base_url": service_url,
        "seed": 7,
        "clock": VirtualClock(),
    } | more
    return SimulatorConfig(**config)  # type: ignore[arg-type]


@asynccontextmanager
async def a_world(**more: object) -> AsyncIterator[World]:
    service = Service()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.handle)
    async with asyncio.timeout(60), TestServer(app) as service_server:
        service.url = str(service_server.make_url("")).rstrip("/")
        config = settings(service.url, **more)
        assert isinstance(config.clock, VirtualClock)
        simulator = create_app(config)
        async with TestServer(simulator) as server, ClientSession() as http:
            yield World(service, simulator[EXCHANGE], config.clock, server, http)
