"""Composition: opens everything a process needs, in order, and closes it in reverse. Nothing is looked up later."""

import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.metadata import version

from redis.asyncio import BlockingConnectionPool, Redis

from app.choreography import reactions
from app.settings import Settings
from core.ids import CallId
from cti import consult, outbound, telephone, voicemail
from cti import pbx_service as pbx
from cti import service as cti
from cti.commands import Commands
from cti.connections import Connections
from cti.http import Telephony, WaitState
from cti.lines import Lines
from cti.reconcile import Reconciler
from cti.signature import with_credentials
from cti.twilio_api import TwilioApi
from infra.bus import Broker
from infra.local_broker import LocalBroker
from infra.outbox import Outbox
from infra.postgres import Connection, open_database
from infra.ratelimit import RateLimiter
from infra.resources import Resources
from infra.timers import TimerHandler, TimerRunner
from realtime.push import Push
from realtime.server import DeskServer
from routing import queries as routing_sql
from routing import service as routing
from routing.dispatcher import Dispatcher
from ticketing import service as ticketing

VERSION = version("ringdesk")

TIMERS: dict[str, TimerHandler] = {
    routing.OFFER_TIMER: routing.offer_timed_out,
    routing.STEP_TIMER: routing.step_opened,
    routing.WRAP_TIMER: routing.wrap_up_timed_out,
    routing.COOLDOWN_TIMER: routing.cooled_down,
    cti.CONNECT_TIMER: cti.connect_timed_out,
    outbound.DIAL_TIMER: outbound.dial_due,
    outbound.LIMIT_TIMER: outbound.limit_reached,
    telephone.RING_TIMER: telephone.ring_due,
    cti.AGENT_GONE_TIMER: cti.agent_is_gone,
    cti.RECORDER_TIMER: voicemail.look_due,
    consult.TIMER: consult.late,
    pbx.HELD_TIMER: pbx.held_long_enough,
    pbx.LIMIT_TIMER: pbx.limit_reached,
    **ticketing.TIMERS,
}


@dataclass(frozen=True, slots=True)
class Parts:
    """What web, worker and up are made of."""

    settings: Settings
    resources: Resources
    server: DeskServer
    push: Push
    telephony: Telephony
    commands: Commands
    reconciler: Reconciler
    dispatcher: Dispatcher
    timers: TimerRunner


def open_redis(url: str) -> Redis:
    """Every call is bounded; callers treat a missing Redis as a miss."""
    pool = BlockingConnectionPool.from_url(
        url, max_connections=32, timeout=1, socket_timeout=1, socket_connect_timeout=1, health_check_interval=30
    )
    return Redis.from_pool(pool)  # which closes the pool with the client; `Redis(connection_pool=…)` leaves it open


@contextlib.asynccontextmanager
async def open_broker(url: str | None) -> AsyncIterator[Broker]:
    if url is None:
        async with LocalBroker() as local:
            yield local
    else:
        from infra.broker import RabbitBroker  # here, since only RabbitMQ needs aio-pika, whose import takes a while

        async with RabbitBroker(url) as rabbit:
            yield rabbit


async def _wait_state(conn: Connection, call_id: CallId) -> WaitState | None:
    row = await conn.fetchrow(routing_sql.WAIT_STATE, call_id)
    return None if row is None else WaitState(row["position"], row["somebody"], row["recent_waits_s"])


@contextlib.asynccontextmanager
async def open_parts(
    settings: Settings,
    *,
    database_url: str,
    redis_url: str,
    rabbitmq_url: str | None,
    public_url: str,
    relay: bool = True,
) -> AsyncIterator[Parts]:
    """Raises Unavailable when the database does not answer; Redis and the broker may come later."""
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            open_database(database_url, size=settings.database_pool, application="ringdesk")
        )
        broker = await stack.enter_async_context(open_broker(rabbitmq_url))
        redis = open_redis(redis_url)
        stack.push_async_callback(redis.aclose)
        limiter = RateLimiter(redis_url)
        stack.push_async_callback(limiter.aclose)
        outbox = Outbox(database, broker, relay=relay)
        accounts = settings.accounts()
        lines = Lines()
        await lines.refresh(database)
        connections = Connections()
        await connections.refresh(database)
        twilio = await stack.enter_async_context(TwilioApi(accounts, settings.twilio_api_base).open())
        replica = f"{secrets.token_hex(4)}"
        server = DeskServer(outbox, public_url=public_url, replica=replica, redis_url=redis_url)
        stack.push_async_callback(server.aclose)
        push = Push(server)
        base = with_credentials(public_url, settings.basic_auth())
        commands = Commands(outbox, twilio, lines, base)
        outbox.react(reactions(commands=commands, push=push))
        resources = Resources(database, outbox, broker, redis, limiter, public_url, VERSION, replica)
        yield Parts(
            settings,
            resources,
            server,
            push,
            Telephony(accounts, lines, base, outbox, _wait_state, connections, twilio, settings.basic_auth()),
            commands,
            Reconciler(outbox, twilio, accounts, lines),
            Dispatcher(outbox),
            TimerRunner(outbox, TIMERS),
        )
