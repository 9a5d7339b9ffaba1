"""The floor: what the same servers, libraries and sockets do when nothing of the product is in between. FROZEN.

    python3 dev.py bench floor

Figures of other measurements are ratios to this file, taken in the same run on the same servers. So it does not change when the
product does; who changes it starts all ratios anew and says so in the changelog. All its SQL is below.

A *path* leads from a webhook's POST to a pop on an agent's WebSocket (python-socketio, one room an agent, no compression):

- `one`: the bare one-statement path. Ticket, agent and outbox row in one statement, then the emit.
- `two`: two transactions of few statements, ticket and then agent, joined by a wake.
- `same`: the bare path of the same shape. Two transactions, joined by a wake, and the reads of a pop, with as many round trips to Postgres
  and Redis as the product had when this was frozen (SHAPE); each statement touches one row by its key.

Signatures, rules, rights, audit and JSON models are what the product adds. With RabbitMQ the wake is a message in a quorum queue to
another process, and the emit goes through Redis to the process with the socket, as in the product.
"""

import argparse
import asyncio
import itertools
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import aio_pika
import asyncpg
import engineio.async_drivers.aiohttp as driver
import orjson
import socketio
from aiohttp import ClientSession, web
from redis.asyncio import Redis

from app.embedded.children import free_port
from bench.kit.centre import Person, phone_of
from bench.kit.process import module, program, raise_file_limit
from bench.kit.product import Service
from bench.kit.report import Report, latencies, options, run, say
from bench.kit.servers import Servers, servers
from core import demo_account

SCHEMA: Final = """
CREATE TABLE customers (id bigint PRIMARY KEY, phone text UNIQUE, profile jsonb NOT NULL);
CREATE TABLE agents (id bigint PRIMARY KEY, is_free boolean NOT NULL, idle_since timestamptz NOT NULL) WITH (fillfactor = 50);
CREATE INDEX agents_free ON agents (idle_since) WHERE is_free;
CREATE TABLE tickets (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sid text UNIQUE, phone text, agent_id bigint, body jsonb NOT NULL)
    WITH (fillfactor = 70);
CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, ticket_id bigint, body jsonb NOT NULL);
"""
FILL: Final = """
INSERT INTO customers SELECT n, phone, $2 FROM unnest($1::text[]) WITH ORDINALITY AS t (phone, n);
"""
AGENTS: Final = "INSERT INTO agents SELECT n, true, now() FROM generate_series(1, $1::bigint) n"

READ: Final = "SELECT id FROM customers WHERE phone = $1"
PROFILE: Final = "SELECT profile FROM customers WHERE phone = $1"
INSERT_TICKET: Final = "INSERT INTO tickets (sid, phone, body) VALUES ($1, $2, $3) RETURNING id"
UPDATE_TICKET: Final = "UPDATE tickets SET body = $2 WHERE id = $1"
INSERT_OUTBOX: Final = "INSERT INTO outbox (ticket_id, body) VALUES ($1, $2)"
RESERVE: Final = """
UPDATE agents SET is_free = false WHERE id = (
    SELECT id FROM agents WHERE is_free ORDER BY idle_since LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED) RETURNING id
"""
FREE: Final = "UPDATE agents SET is_free = true, idle_since = now() WHERE id = $1"
ONE: Final = """
WITH ticket AS (INSERT INTO tickets (sid, phone, body) VALUES ($1, $2, $3) RETURNING id),
     chosen AS (SELECT id FROM agents WHERE is_free ORDER BY idle_since LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED),
     held AS (UPDATE agents a SET is_free = false FROM chosen c WHERE a.id = c.id RETURNING a.id),
     told AS (INSERT INTO outbox (ticket_id, body) SELECT id, $3 FROM ticket)
SELECT t.id AS ticket_id, h.id AS agent_id, (SELECT profile FROM customers WHERE phone = $2) AS profile FROM ticket t, held h
"""
TABLES: Final = "TRUNCATE tickets, outbox"

SHAPE: Final = {
    # Round trips of the product's transactions, BEGIN and COMMIT included, when this was frozen.
    "voice": 11,
    "dispatch": 13,
    "accept": 21,
    "/twilio/queue/done": 5,
    "/twilio/agent": 6,
    "/twilio/conference": 14,  # the mean of a call's four: 6, 15, 27, 6
    "/twilio/dial/done": 5,
    "/twilio/status": 7,
    "wrap-up": 24,
}
POP_READS: Final = 8
"""Reads of a pop, without transaction; and one GET of Redis."""
COMMAND: Final = 3
"""Round trips around the REST request that follows an accept."""
NAMESPACE: Final = "/desk"
QUEUE: Final = "floor.dispatch"
BODY: Final = {
    "state": "queued",
    "facts": {"customer.tier": "vip", "call.language": "en", "time.weekday": 3},
    "rule": "default",
}
PROFILE_BODY: Final = {
    "name": "Customer", "tier": "standard", "company": "Company", "note": "Prefers a call back in the afternoon.",
    "last_contacts": [
        {"call_id": n, "at": "2026-01-02T03:04:05+00:00", "direction": "inbound", "outcome": "answered", "queue": "support",
         "agent": "Agent 17", "disposition": "done", "talk_s": 190.0} for n in range(15)
    ],
}  # fmt: skip


# --- the server ----------------------------------------------------------------------------------------------------------


class PlainWebSocket(driver.WebSocket):  # type: ignore[misc]
    async def __call__(self, environ: Any) -> web.WebSocketResponse:
        self._sock = web.WebSocketResponse(compress=False)
        await self._sock.prepare(environ["aiohttp.request"])
        self.environ = environ
        await self.handler(self)
        return self._sock


class Json:
    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        return orjson.dumps(value).decode()

    @staticmethod
    def loads(text: str | bytes, **_: Any) -> Any:
        return orjson.loads(text)


async def no_reset(_: object) -> None:
    """A reset costs a third of a short statement; the gate in front keeps the order."""


class Floor:
    def __init__(
        self, pool: "asyncpg.Pool[asyncpg.Record]", size: int, shape: str, redis: Redis, provider_port: int
    ) -> None:
        self.pool = pool
        self.gate = asyncio.Semaphore(size)
        self.shape = shape
        self.redis = redis
        self.emit: Callable[[int, dict[str, Any]], Awaitable[None]]
        self.wake: Callable[[bytes], Awaitable[None]]
        self.provider = f"http://127.0.0.1:{provider_port}/2010-04-01/Accounts/{demo_account.ACCOUNT_SID}/Calls"
        self.http: ClientSession | None = None
        self.seq = itertools.count(1)
        self.tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        async with self.gate, self.pool.acquire() as conn:
            yield conn

    def start(self, job: Any) -> None:
        task = asyncio.create_task(job)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # --- the path ------------------------------------------------------------------------------------------------------

    async def voice(self, request: web.Request) -> web.Response:
        form = await request.post()
        sid, phone = str(form["CallSid"]), str(form["From"])
        if self.shape == "one":
            async with self.connection() as conn:
                row = await conn.fetchrow(ONE, sid, phone, BODY)
            await self.pop(row["agent_id"], row["ticket_id"], phone, sid, row["profile"])
            return web.Response(text="<Response/>", content_type="text/xml")
        async with self.connection() as conn, conn.transaction():
            ticket_id = await conn.fetchval(INSERT_TICKET, sid, phone, BODY)
            if self.shape == "same":
                await self.fill(conn, SHAPE["voice"] - 4, ticket_id, phone)
            await conn.execute(INSERT_OUTBOX, ticket_id, BODY)
        self.start(self.wake(orjson.dumps([ticket_id, phone, sid])))
        return web.Response(text="<Response/>", content_type="text/xml")

    async def dispatch(self, body: bytes) -> None:
        ticket_id, phone, sid = orjson.loads(body)
        async with self.connection() as conn, conn.transaction():
            agent_id = await conn.fetchval(RESERVE)
            if self.shape == "same":
                await self.fill(conn, SHAPE["dispatch"] - 4, ticket_id, phone)
            await conn.execute(INSERT_OUTBOX, ticket_id, BODY)
        async with self.connection() as conn:
            if self.shape == "same":
                for _ in range(POP_READS - 1):
                    await conn.fetchval(READ, phone)
                await self.redis.get("floor")
            profile = await conn.fetchval(PROFILE, phone)
        await self.pop(agent_id, ticket_id, phone, sid, profile)

    async def fill(self, conn: Any, round_trips: int, ticket_id: int, phone: str) -> None:
        """One update, the rest reads by key."""
        await conn.execute(UPDATE_TICKET, ticket_id, BODY)
        for _ in range(round_trips - 1):
            await conn.fetchval(READ, phone)

    async def pop(self, agent_id: int, ticket_id: int, phone: str, sid: str, profile: Any) -> None:
        data = {
            "offer_id": ticket_id,
            "call": {"id": ticket_id, "from": phone, "sid": sid},
            "customer": {"match": "one", "profile": profile},
        }
        await self.emit(agent_id, {"seq": next(self.seq), "type": "screen_pop", "v": 1, "data": data})

    # --- the rest of a call --------------------------------------------------------------------------------------------

    async def request(self, name: str, phone: str = "", ticket_id: int = 0) -> None:
        async with self.connection() as conn, conn.transaction():
            await self.fill(conn, SHAPE[name] - 3, ticket_id, phone)
            await conn.execute(INSERT_OUTBOX, ticket_id, BODY)

    async def hook(self, request: web.Request) -> web.Response:
        await request.post()
        await self.request(request.path)
        return web.Response(text="<Response/>", content_type="text/xml")

    async def accept(self, request: web.Request) -> web.Response:
        await request.read()
        ticket_id = int(request.match_info["id"])
        await self.request("accept", ticket_id=ticket_id)
        self.start(self.connect(ticket_id))
        return web.json_response({"call": {"id": ticket_id, "conference": f"call_{ticket_id}"}})

    async def connect(self, ticket_id: int) -> None:
        """The command to the provider, outside of any transaction."""
        async with self.connection() as conn:
            sid = await conn.fetchval("SELECT sid FROM tickets WHERE id = $1", ticket_id)
            await conn.fetchval(READ, "")
        assert self.http is not None
        async with self.http.post(f"{self.provider}/{sid}.json", data={"Twiml": "<Response/>"}) as answer:
            await answer.read()
        async with self.connection() as conn:
            await conn.execute(UPDATE_TICKET, ticket_id, BODY)

    async def wrap_up(self, request: web.Request) -> web.Response:
        await request.read()
        await self.request("wrap-up")
        async with self.connection() as conn:
            await conn.execute(FREE, person_of(request))
        return web.json_response({})

    async def ticket(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        async with self.connection() as conn, conn.transaction():
            ticket_id = await conn.fetchval(INSERT_TICKET, body["sid"], body["phone"], body)
            await conn.execute(INSERT_OUTBOX, ticket_id, body)
        return web.json_response({"id": ticket_id}, status=201)


def person_of(request: web.Request) -> int:
    """The floor's cookie is the agent's number."""
    return int(request.headers["Cookie"].rpartition("=")[2])


async def ticket(request: web.Request) -> web.Response:
    await request.read()
    return web.json_response({"ticket": str(person_of(request))})


async def set_codec(conn: Any) -> None:
    await conn.set_type_codec(
        "jsonb", encoder=lambda v: orjson.dumps(v).decode(), decoder=orjson.loads, schema="pg_catalog"
    )


def socket_server(manager: Any) -> Any:
    server = socketio.AsyncServer(
        async_mode="aiohttp", client_manager=manager, json=Json, transports=["websocket"], allow_upgrades=False, cors_allowed_origins=[],
        ping_interval=10, ping_timeout=10, async_handlers=False, namespaces=[NAMESPACE], logger=False, engineio_logger=False,
    )  # fmt: skip
    server.eio._async = {**driver._async, "websocket": PlainWebSocket}  # noqa: SLF001

    async def joined(sid: str, _: Any, auth: Any) -> None:
        await server.enter_room(sid, f"agent:{auth['ticket']}", namespace=NAMESPACE)

    async def heard(sid: str, _: Any) -> None:
        """An acknowledgement."""

    server.on("connect", joined, namespace=NAMESPACE)
    server.on("ack", heard, namespace=NAMESPACE)
    return server


async def serve(args: argparse.Namespace) -> int:
    raise_file_limit()
    async with AsyncExitStack() as stack:
        size = 10
        pool = await stack.enter_async_context(
            asyncpg.create_pool(args.database, min_size=size, max_size=size, reset=no_reset, init=set_codec)
        )
        redis = Redis.from_url(args.redis)
        stack.push_async_callback(redis.aclose)
        await redis.set("floor", "x" * 512)
        floor = Floor(pool, size, args.shape, redis, args.provider)
        floor.http = await stack.enter_async_context(ClientSession())
        is_split = args.role != "all"
        channel = None
        if is_split:
            rabbit = await stack.enter_async_context(await aio_pika.connect(args.rabbitmq))
            channel = await rabbit.channel()
            await channel.set_qos(prefetch_count=16)
            queue = await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        if args.role == "worker":
            await _work(floor, queue, args.redis)
        else:
            await stack.enter_async_context(_serve_web(floor, args, channel))
        say(f"floor ready {args.port}")
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()
    return 0


async def _work(floor: Floor, queue: Any, redis_url: str) -> None:
    manager = socketio.AsyncRedisManager(redis_url, write_only=True, json=Json)

    async def emit(agent_id: int, message: dict[str, Any]) -> None:
        await manager.emit(message["type"], message, namespace=NAMESPACE, room=f"agent:{agent_id}")

    async def on_message(message: Any) -> None:
        await floor.dispatch(message.body)
        await message.ack()

    floor.emit = emit
    await queue.consume(on_message)


@asynccontextmanager
async def _serve_web(floor: Floor, args: argparse.Namespace, channel: Any) -> AsyncIterator[None]:
    server = socket_server(None if channel is None else socketio.AsyncRedisManager(args.redis, json=Json))

    async def emit(agent_id: int, message: dict[str, Any]) -> None:
        await server.emit(message["type"], message, room=f"agent:{agent_id}", namespace=NAMESPACE)

    async def publish(body: bytes) -> None:
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key=QUEUE)

    floor.emit = emit
    floor.wake = floor.dispatch if channel is None else publish
    app = web.Application()
    app.router.add_post("/api/v1/realtime-ticket", ticket)
    app.router.add_post("/api/v1/offers/{id}/accept", floor.accept)
    app.router.add_post("/api/v1/calls/{id}/wrap-up", floor.wrap_up)
    app.router.add_post("/twilio/voice", floor.voice)
    app.router.add_post("/tickets", floor.ticket)
    for path in SHAPE:
        if path.startswith("/"):
            app.router.add_post(path, floor.hook)
    server.attach(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", args.port, backlog=1024).start()
        yield
    finally:
        await runner.cleanup()


# --- used by the measurements --------------------------------------------------------------------------------------------


async def furnish(servers_: Servers, *, agents: int, customers: int) -> list[Person]:
    """The database `floor`. Returns the agents."""
    conn = await asyncpg.connect(await servers_.create("floor"), timeout=10)
    try:
        await set_codec(conn)
        await conn.execute(SCHEMA)
        await conn.execute(FILL, [phone_of(n) for n in range(1, customers + 1)], PROFILE_BODY)
        await conn.execute(AGENTS, agents)
        await conn.execute("VACUUM ANALYZE")
    finally:
        await conn.close(timeout=5)
    return [Person(n, str(n)) for n in range(1, agents + 1)]


async def forget_calls(servers_: Servers) -> None:
    conn = await asyncpg.connect(servers_.database("floor"), timeout=10)
    try:
        await conn.execute(TABLES)
        await conn.execute("UPDATE agents SET is_free = true, idle_since = now()")
        await conn.execute("VACUUM ANALYZE")
    finally:
        await conn.close(timeout=5)


@asynccontextmanager
async def service(
    servers_: Servers, shape: str, *, split: bool = False, webs: int = 1, workers: int = 1, provider_port: int = 1
) -> AsyncIterator[Service]:
    """The floor's processes: one, or with `split` web and worker joined by RabbitMQ and Redis."""
    common = [
        "--shape",
        shape,
        "--database",
        servers_.database("floor"),
        "--redis",
        servers_.valkey.url,
        "--provider",
        str(provider_port),
    ]
    if split:
        assert servers_.rabbitmq is not None
        common += ["--rabbitmq", servers_.rabbitmq.url]
    async with AsyncExitStack() as stack:
        ports: list[int] = []
        for _ in range(webs):
            ports.append(free_port(avoid=ports))
        started = []
        for n, port in enumerate(ports):
            words = ["serve", "--role", "web" if split else "all", "--port", str(port), *common]
            started.append(
                await stack.enter_async_context(
                    program(f"floor-{n}", module("bench.floor", *words), ready="floor ready")
                )
            )
        for n in range(workers if split else 0):
            words = ["serve", "--role", "worker", *common]
            started.append(
                await stack.enter_async_context(
                    program(f"floor-worker-{n}", module("bench.floor", *words), ready="floor ready")
                )
            )
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        yield Service(urls[0], urls, started)


# --- the floors by themselves --------------------------------------------------------------------------------------------


async def measure() -> int:
    report = Report("floor", options(__doc__ or ""))
    seconds = 0.3 if report.options.quick else 2.0
    async with servers(report, rabbitmq=True) as running:
        await furnish(running, agents=50, customers=200 if report.options.quick else 100_000)
        for width in (1, 8, 32):
            for what, job in (("SELECT by key", _read), ("INSERT and commit", _insert), ("one statement", _one)):
                rounds = []
                for _ in range(report.options.repetitions):
                    await forget_calls(running)
                    rounds.append(await _times(running.database("floor"), job, width, seconds))
                rate = [len(times) / seconds for times in rounds]
                report.add(what, connections=width, per_s=round(sum(rate) / len(rate)), **latencies(rounds))
        redis = Redis.from_url(running.valkey.url)
        await redis.set("floor", "x" * 512)
        report.add("Redis GET", **latencies([await _sequence(lambda: redis.get("floor"), seconds)]))
        await redis.aclose()
        if running.rabbitmq is not None:
            report.add(
                "RabbitMQ quorum publish to consume",
                **latencies([await _through_rabbit(running.rabbitmq.url, seconds)]),
            )
    say(f"written: {report.write().name}")
    return 0


Job = Callable[[Any, int], Awaitable[Any]]


async def _read(conn: Any, n: int) -> None:
    await conn.fetchval(READ, phone_of(1 + n % 200))


async def _insert(conn: Any, n: int) -> None:
    await conn.fetchval(INSERT_TICKET, f"sid {n}", "", BODY)


async def _one(conn: Any, n: int) -> None:
    row = await conn.fetchrow(ONE, f"sid {n}", phone_of(1 + n % 200), BODY)
    if row is not None:
        await conn.execute(FREE, row["agent_id"])


async def _times(url: str, job: Job, width: int, seconds: float) -> list[float]:
    """Milliseconds of `job` on `width` connections at a time."""
    numbers, times = itertools.count(), list[float]()
    end = time.perf_counter() + seconds

    async def work(conn: Any) -> None:
        while (began := time.perf_counter()) < end or len(times) < width:
            await job(conn, next(numbers))
            times.append((time.perf_counter() - began) * 1000)

    connections = [await asyncpg.connect(url, timeout=10) for _ in range(width)]
    try:
        for conn in connections:
            await set_codec(conn)
        await asyncio.gather(*(work(conn) for conn in connections))
    finally:
        for conn in connections:
            await conn.close(timeout=5)
    return times


async def _sequence(job: Callable[[], Awaitable[Any]], seconds: float) -> list[float]:
    times, end = list[float](), time.perf_counter() + seconds
    while (began := time.perf_counter()) < end or not times:
        await job()
        times.append((time.perf_counter() - began) * 1000)
    return times


async def _through_rabbit(url: str, seconds: float) -> list[float]:
    async with await aio_pika.connect(url) as rabbit:
        channel = await rabbit.channel()
        queue = await channel.declare_queue(f"{QUEUE}.alone", durable=True, arguments={"x-queue-type": "quorum"})
        arrived: asyncio.Queue[float] = asyncio.Queue()

        async def on_message(message: Any) -> None:
            arrived.put_nowait(time.perf_counter())
            await message.ack()

        await queue.consume(on_message)
        times, end = list[float](), time.perf_counter() + seconds
        while (began := time.perf_counter()) < end or not times:
            message = aio_pika.Message(b"x" * 120, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, routing_key=queue.name)
            async with asyncio.timeout(10):
                times.append((await arrived.get() - began) * 1000)
        return times


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] == "serve":
        parser = argparse.ArgumentParser()
        parser.add_argument("serve")
        parser.add_argument("--role", choices=("all", "web", "worker"), default="all")
        parser.add_argument("--shape", choices=("one", "two", "same"), default="same")
        parser.add_argument("--port", type=int, default=0)
        parser.add_argument("--provider", type=int, default=1)
        for name in ("database", "redis", "rabbitmq"):
            parser.add_argument(f"--{name}", default="")
        run(serve(parser.parse_args()))
    run(measure())


if __name__ == "__main__":
    main()
