"""A call centre to test routing in: an organisation file, agents at their desks, callers, and the real choreography.

Everything goes through the services (calls are advanced as telephony advances them, agents act as principals), each act in a
transaction of its own. Wakes and effects do not run by themselves: a test says `dispatch`, and `settle` does the deliveries.
"""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import orjson

from accounts.model import User
from accounts.queries import user_by_email
from app import apply as organisation
from app.choreography import reactions
from app.org import parse_org
from app.parts import TIMERS
from core.ids import AgentId, CallId
from core.phone import Number, NumberKind
from core.principal import Principal, Role
from cti import queries as calls
from cti import service as telephony
from cti.commands import Commands
from cti.lines import Lines
from cti.model import AgentJoined, AgentLeft, CallerJoined, Queued
from cti.twilio_api import TwilioApi
from infra.bus import Message
from infra.outbox import Outbox, Tx
from infra.postgres import Database
from infra.timers import TAKE_TIMER
from realtime.push import Push
from realtime.server import DeskServer
from routing import acts, service, wrap_up
from routing import queries as sql
from routing.dispatcher import Dispatcher
from routing.model import LEASE_S, OFFER_GRACE_S, RECONNECT_GRACE_S, OfferRow
from tests.invariants import broken

T = TypeVar("T")
ORG: Final = """
queues:
  - {key: support, name: {en: Support}, offer_timeout_s: 20, wrap_up: {mode: timed, seconds: 30}}
  - {key: sales, name: {en: Sales}, offer_timeout_s: 15, wrap_up: {mode: none}}
  - {key: de, name: {en: German}, offer_timeout_s: 15, wrap_up: {mode: manual}}
skills:
  - {key: billing, name: {en: Billing}}
  - {key: german, name: {en: German}}
agents:
  - {email: ava@example.com, name: Ava, queues: [support], skills: {billing: 4}}
  - {email: ben@example.com, name: Ben, queues: [support, sales], skills: {billing: 2}}
  - {email: chen@example.com, name: Chen, queues: [support]}
  - {email: dana@example.com, name: Dana, queues: [de], skills: {german: 5}}
  - {email: sam@example.com, name: Sam, role: supervisor}
numbers:
  - {number: "+14155550199", region: US, queue: support}
  - {number: "+14155550198", region: US, queue: sales}
  - {number: "+4930901820", region: DE, queue: de}
"""
POOL: Final = "pool_sales"
"""Support and sales share Ben; the pool has the name of the first of its queues."""
DE_POOL: Final = "pool_de"
NUMBERS: Final = {"support": "+14155550199", "sales": "+14155550198", "de": "+4930901820"}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that is in line."""

    call_id: CallId
    item_id: int
    ticket_id: int


@dataclass
class Floor:
    outbox: Outbox
    database: Database
    people: dict[str, Principal] = field(default_factory=dict)
    _sids: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def dispatcher(self) -> Dispatcher:
        return Dispatcher(self.outbox)

    async def transact(self, body: Callable[[Tx], Awaitable[T]], *, later_s: float = 0) -> T:
        """As an edge does. `later_s`: the transaction believes that it is so much later."""

        async def then(tx: Tx) -> T:
            tx.now += timedelta(seconds=later_s)
            return await body(tx)

        return await self.outbox.transact(then)

    async def fetch(self, query: str, *args: Any) -> list[dict[str, Any]]:
        async with self.database.acquire() as conn:
            return [dict(row) for row in await conn.fetch(query, *args)]

    async def row(self, query: str, *args: Any) -> dict[str, Any]:
        (row,) = await self.fetch(query, *args)
        return row

    async def value(self, query: str, *args: Any) -> Any:
        return next(iter((await self.row(query, *args)).values()))

    async def execute(self, query: str, *args: Any) -> None:
        async with self.database.acquire() as conn:
            await conn.execute(query, *args)

    # --- the organisation --------------------------------------------------------------------------------------------------

    async def open(self, org: str = ORG, *, rules: str = "") -> None:
        """Apply the file (plus `rules`, as YAML) and remember who is who."""
        found = parse_org(org + (f"rules:\n{rules}" if rules else ""))
        await self.transact(lambda tx: organisation.apply(tx, found, by="test", replace_rules=True))
        for agent in found.agents:
            async with self.database.acquire() as conn:
                user = await user_by_email(conn, email=agent.email)
            assert user is not None
            self.people[agent.email.partition("@")[0]] = _principal(user)

    def agent(self, name: str) -> Principal:
        return self.people[name]

    # --- agents ------------------------------------------------------------------------------------------------------------------

    async def arrive(self, *names: str) -> None:
        """Each opens the desk and chooses available, the first named idle longest."""
        for place, name in enumerate(names):
            await self.connect(name)
            await self.present(name, "available")
            await self.idle_for(name, 600 - place)

    async def connect(self, name: str, sid: str | None = None) -> None:
        ident = self.agent(name).user_id
        await self.transact(
            lambda tx: service.desk_connected(tx, agent_id=ident, replica="test", sid=sid or f"desk of {name}")
        )

    async def disconnect(self, name: str, sid: str | None = None) -> None:
        await self.execute(sql.DISCONNECT, "test", sid or f"desk of {name}")

    async def renew(self, *names: str) -> None:
        await self.execute(sql.RENEW_LEASES, "test", LEASE_S, [f"desk of {name}" for name in names])

    async def idle_for(self, name: str, seconds: float) -> None:
        await self.execute(
            "UPDATE agents SET idle_since = now() - make_interval(secs => $2) WHERE id = $1",
            self.agent(name).user_id,
            seconds,
        )

    async def present(self, name: str, state: str, reason: str | None = None, *, by: str | None = None) -> None:
        ident = self.agent(name).user_id
        await self.transact(
            lambda tx: service.set_presence(
                tx, agent_id=ident, state=state, reason=reason, by=by or name, ends_wrap_up=by is None
            )
        )

    async def force(
        self, name: str, state: str, reason: str | None, *, who: Principal, version: int | None = None
    ) -> acts.Act:
        """A supervisor sets somebody's state, having looked at it just now."""
        ident = self.agent(name).user_id
        seen = (await self.agent_row(name))["presence_version"] if version is None else version
        _, act = await self.transact(
            lambda tx: acts.force_presence(tx, agent_id=ident, state=state, reason=reason, version=seen, who=who)
        )
        return act

    async def hold_version(self, queue: str = "support") -> int:
        found: int = await self.value("SELECT hold_version FROM queues WHERE key = $1", queue)
        return found

    async def hold(
        self, queue: str = "support", *, is_held: bool = True, who: Principal, version: int | None = None
    ) -> acts.Act:
        """A supervisor holds or releases a queue, having looked at it just now."""
        seen = await self.hold_version(queue) if version is None else version
        _, act = await self.transact(lambda tx: acts.hold(tx, queue=queue, is_held=is_held, version=seen, who=who))
        return act

    async def sweep_lost(self, *names: str) -> None:
        """What the sweep does with those whose socket is gone."""
        for name in names:
            ident = self.agent(name).user_id
            await self.transact(
                lambda tx, ident=ident: service.agent_is_lost(  # type: ignore[misc]
                    tx, agent_id=ident, offer_grace_s=OFFER_GRACE_S, reconnect_grace_s=RECONNECT_GRACE_S
                )
            )

    async def presence(self, name: str) -> tuple[str, str | None]:
        row = await self.row("SELECT presence, presence_reason FROM agents WHERE id = $1", self.agent(name).user_id)
        return row["presence"], row["presence_reason"]

    async def agent_row(self, name: str) -> dict[str, Any]:
        return await self.row("SELECT * FROM agents WHERE id = $1", self.agent(name).user_id)

    async def intervals(self, name: str) -> list[str]:
        """The states one after the other; those that lasted no time are left out."""
        rows = await self.fetch(
            "SELECT state FROM agent_intervals WHERE agent_id = $1 AND ended_at IS DISTINCT FROM started_at ORDER BY started_at, id",
            self.agent(name).user_id,
        )
        return [row["state"] for row in rows]

    # --- callers --------------------------------------------------------------------------------------------------------------------

    async def ring(
        self, queue: str = "support", *, from_: str | None = "+14155550100", waited_s: float = 0, language: str = "en"
    ) -> Waiting:
        """A call reaches its queue; `waited_s` ago."""
        number = Number(NumberKind.E164, from_, from_) if from_ else Number(NumberKind.WITHHELD, "anonymous")
        sid = f"CA{next(self._sids):032x}"

        async def arrive(tx: Tx) -> CallId:
            row = await tx.conn.fetchrow(
                "INSERT INTO calls (account_sid, sid, direction, from_raw, from_kind, from_value, to_number, language, state, created_at) "
                f"VALUES ('AC0', $1, 'inbound', $2, $3, $4, $5, $6, 'received', $7) RETURNING {calls.CALL_COLUMNS}",
                sid, number.raw, number.kind.value, number.value, NUMBERS[queue], language, tx.now,
            )  # fmt: skip
            call = calls.call_of(row)
            await tx.conn.execute(calls.ADD_LEG, call.id, sid, "customer", None, "in-progress", tx.now)
            await telephony.apply(tx, call, Queued(queue, tx.now))
            return call.id

        return await self.waiting(await self.transact(arrive, later_s=-waited_s))

    async def waiting(self, call_id: CallId) -> Waiting:
        row = await self.row("SELECT id, ticket_id FROM work_items WHERE call_id = $1", call_id)
        return Waiting(call_id, row["id"], row["ticket_id"])

    async def join(self, waiting: Waiting, name: str) -> None:
        """Caller and agent are in the conference: they talk."""
        ident = AgentId(self.agent(name).user_id)

        async def meet(tx: Tx) -> None:
            call = await calls.lock_call(tx.conn, call_id=waiting.call_id)
            assert call is not None
            call = await telephony.apply(tx, call, CallerJoined(tx.now))
            await telephony.apply(tx, call, AgentJoined(ident, tx.now))

        await self.transact(meet)

    async def agent_vanishes(self, waiting: Waiting, name: str) -> None:
        """The agent's leg ends in mid-call and does not come back in time."""
        ident = AgentId(self.agent(name).user_id)

        async def leave(tx: Tx) -> None:
            call = await calls.lock_call(tx.conn, call_id=waiting.call_id)
            assert call is not None
            await telephony.apply(tx, call, AgentLeft(ident, tx.now))

        await self.transact(leave)
        await self.not_found(waiting)

    async def not_found(self, waiting: Waiting) -> None:
        """Telephony looks who is in the conference, and finds the caller at most: the agent did not come, or not back."""
        row = await self.row("SELECT sid, offer_id FROM calls WHERE id = $1", waiting.call_id)
        present = frozenset({row["sid"]})
        await self.transact(
            lambda tx: telephony.looked(tx, call_id=waiting.call_id, offer_id=row["offer_id"], present=present)
        )

    async def hang_up(self, waiting: Waiting) -> None:
        """The caller's leg is over."""
        sid = await self.value("SELECT sid FROM calls WHERE id = $1", waiting.call_id)
        await self.transact(lambda tx: telephony.customer_gone(tx, sid=sid, at=tx.now))

    # --- routing ----------------------------------------------------------------------------------------------------------------------

    async def dispatch(self, pool: str = POOL) -> list[tuple[str, int]]:
        """Passes until nothing fits. What is offered now in this pool: (agent, item), oldest first."""
        while await self.dispatcher.dispatch(pool):
            pass
        return [(name, item) for name, item, _ in await self.pending(pool)]

    async def pending(self, pool: str = POOL) -> list[tuple[str, int, int]]:
        """(agent, item, offer)."""
        rows = await self.fetch(
            "SELECT id, agent_id, work_item_id FROM offers WHERE pool_id = $1 AND state = 'pending' ORDER BY id", pool
        )
        names = {person.user_id: name for name, person in self.people.items()}
        return [(names[row["agent_id"]], row["work_item_id"], row["id"]) for row in rows]

    async def offer_of(self, name: str) -> int:
        """The newest offer of this agent."""
        ident: int = await self.value("SELECT max(id) FROM offers WHERE agent_id = $1", self.agent(name).user_id)
        return ident

    async def offer(self, offer_id: int) -> dict[str, Any]:
        return await self.row("SELECT * FROM offers WHERE id = $1", offer_id)

    async def item(self, waiting: Waiting) -> dict[str, Any]:
        return await self.row("SELECT * FROM work_items WHERE id = $1", waiting.item_id)

    async def accept(self, name: str, offer_id: int | None = None) -> OfferRow:
        ident = offer_id if offer_id is not None else await self.offer_of(name)
        return await self.transact(lambda tx: service.accept(tx, offer_id=ident, who=self.agent(name)))

    async def reject(self, name: str, offer_id: int | None = None, reason: str | None = None) -> OfferRow:
        ident = offer_id if offer_id is not None else await self.offer_of(name)
        return await self.transact(lambda tx: service.reject(tx, offer_id=ident, who=self.agent(name), reason=reason))

    async def finish(self, waiting: Waiting, name: str, disposition: str | None = None) -> str:
        return await self.transact(
            lambda tx: service.finish_wrap_up(
                tx, call_id=waiting.call_id, who=self.agent(name), disposition=disposition
            )
        )

    async def extend(self, waiting: Waiting, name: str) -> datetime:
        return await self.transact(lambda tx: wrap_up.extend(tx, call_id=waiting.call_id, who=self.agent(name)))

    async def request_wrap_up(self, waiting: Waiting, name: str, *, is_wanted: bool = True) -> None:
        await self.transact(
            lambda tx: wrap_up.request(tx, call_id=waiting.call_id, who=self.agent(name), is_wanted=is_wanted)
        )

    async def talk(self, waiting: Waiting, name: str) -> None:
        """From the offer into the conversation."""
        await self.accept(name)
        await self.join(waiting, name)

    async def serve(self, name: str, *, waited_s: float = 0) -> Waiting:
        """A whole call, of an agent who will be asked for it."""
        call = await self.ring(waited_s=waited_s)
        await self.dispatch()
        await self.talk(call, name)
        await self.hang_up(call)
        await self.finish(call, name)
        return call

    async def run_timer(self, kind: str, object_id: int) -> bool:
        """Let its time come and run it, as the runner does. False when it is not set."""
        await self.execute(
            "UPDATE timers SET due_at = now() - interval '1 millisecond' WHERE kind = $1 AND object_id = $2",
            kind,
            object_id,
        )

        async def run(tx: Tx) -> bool:
            version = await tx.conn.fetchval(TAKE_TIMER, kind, object_id)
            if version is not None:
                await TIMERS[kind](tx, object_id, version)
            return version is not None

        return await self.transact(run)

    async def run_out(self, offer_id: int) -> None:
        """The deadline passes and its timer runs."""
        await self.execute("UPDATE offers SET deadline = now() - interval '1 millisecond' WHERE id = $1", offer_id)
        await self.run_timer(service.OFFER_TIMER, offer_id)

    async def timer_due_in(self, kind: str, object_id: int) -> float | None:
        rows = await self.fetch(
            "SELECT extract(epoch FROM due_at - now())::float8 AS s FROM timers WHERE kind = $1 AND object_id = $2",
            kind,
            object_id,
        )
        return rows[0]["s"] if rows else None

    async def events(self, *names: str) -> list[tuple[str, dict[str, Any]]]:
        rows = await self.fetch("SELECT name, body FROM events WHERE name = ANY($1) ORDER BY id", list(names))
        return [(row["name"], row["body"]) for row in rows]

    async def settle(self) -> None:
        """Do what deliveries are due, as their consumers would, and what becomes due by that."""
        while rows := await self.fetch(
            "SELECT d.consumer, e.id, e.name, e.v, e.body, e.created_at FROM deliveries d JOIN events e ON e.id = d.event_id "
            "WHERE d.done_at IS NULL ORDER BY e.id"
        ):
            for row in rows:
                message = Message(row["id"], row["name"], row["v"], orjson.dumps(row["body"]), row["created_at"])
                await self.outbox.handle(row["consumer"], message)


@asynccontextmanager
async def a_floor(database: Database, outbox: Outbox) -> AsyncIterator[Floor]:
    """It holds every invariant when the test is over."""
    choreographed(outbox)
    opened = Floor(outbox, database)
    yield opened
    await opened.settle()
    async with database.acquire() as conn:
        found = await broken(conn)
    assert found == {}, found


def _principal(user: User) -> Principal:
    return Principal(user.id, Role(user.role), user.name, user.email)


def choreographed(outbox: Outbox) -> None:
    """All reactions but those that speak to the outside."""
    server = DeskServer(outbox, public_url="http://127.0.0.1", replica="test", redis_url=None)
    commands = Commands(outbox, TwilioApi({}, None), Lines(), "")
    everything = reactions(commands=commands, push=Push(server))
    outbox.react([reaction for reaction in everything if reaction.kind != "effect"])
