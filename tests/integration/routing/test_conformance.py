"""The simulation says what the service does: the same acts on Postgres and in memory leave the same state, act by act.

What tests/sim proves of its shell it proves of the product only as far as the two agree.
"""

import json
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any, Final

import pytest

from core.errors import RingdeskError
from core.ids import AgentId
from core.principal import Principal
from cti.model import AgentJoined, AgentLeft, CallerJoined
from infra.outbox import Tx as RealTx
from routing import acts
from routing.model import OfferState, PresenceState, Ranks, Served
from routing.rules import compile_rules
from routing.service import OFFER_TIMER, WRAP_TIMER
from tests.integration.routing.floor import DE_POOL, NUMBERS, POOL, Floor, Waiting
from tests.sim import checks, matcher, shell
from tests.sim.checks import History
from tests.sim.store import FOREVER, START, Agent, Queue, Steps, Store, Tx

IS_FULL: Final = os.environ.get("RINGDESK_TEST_FULL") == "1"
SEEDS: Final = 200 if IS_FULL else 15
ACTS: Final = 40
LATER_S: Final = 1000
"""Steps open after so long: never by themselves while a script runs."""
ORG: Final = """
queues:
  - {key: support, name: {en: Support}, offer_timeout_s: 60, wrap_up: {mode: timed, seconds: 300}}
  - {key: sales, name: {en: Sales}, offer_timeout_s: 60, wrap_up: {mode: none}, pick: round_robin}
  - {key: de, name: {en: German}, offer_timeout_s: 60, wrap_up: {mode: manual}}
skills:
  - {key: billing, name: {en: Billing}}
  - {key: german, name: {en: German}}
groups:
  - {key: sellers, queues: {sales: {}, support: {rank: 2}}}
agents:
  - {email: ava@example.com, name: Ava, queues: [support], skills: {billing: 4}}
  - {email: ben@example.com, name: Ben, queues: [support, sales], skills: {billing: 2}}
  - {email: chen@example.com, name: Chen, group: sellers}
  - {email: dana@example.com, name: Dana, queues: [de], skills: {german: 5}}
  - {email: sam@example.com, name: Sam, role: supervisor}
numbers:
  - {number: "+14155550199", region: US, queue: support}
  - {number: "+14155550198", region: US, queue: sales}
  - {number: "+4930901820", region: DE, queue: de}
"""
QUEUES: Final = (
    Queue("support", POOL, 60, "timed", 300),
    Queue("sales", POOL, 60, "none", 0, pick="round_robin"),
    Queue("de", DE_POOL, 60, "manual", 0),
)
SKILLS: Final[dict[str, dict[str, int]]] = {"ava": {"billing": 4}, "ben": {"billing": 2}, "dana": {"german": 5}}
SERVES: Final = {"ava": ("support",), "ben": ("support", "sales"), "chen": ("support", "sales"), "dana": ("de",)}
RANKS: Final[dict[str, Ranks]] = {"chen": {"support": Served(2)}}
RULES: Final[list[dict[str, Any]]] = [
    {
        "name": "expert",
        "when": {"field": "call.from", "op": "ends_with", "value": "1"},
        "then": {
            "tier": 1,
            "steps": [
                {"after_s": 0, "require": [{"skill": "billing", "level": 3}]},
                {"after_s": LATER_S, "tier": 2, "boost_s": 20},
            ],
        },
    },
    {
        "name": "pair",
        "when": {"field": "call.from", "op": "ends_with", "value": "2"},
        "then": {"steps": [{"after_s": 0, "offers": 2}]},
    },
    {
        "name": "boosted",
        "when": {"field": "call.from", "op": "ends_with", "value": "3"},
        "then": {"boost_s": 40, "steps": [{"after_s": 0, "order": [{"skill": "billing"}, "round_robin"]}]},
    },
    {"name": "everybody", "then": {}},
]


class Twins:
    """One floor on Postgres, one in memory; every act is done on both."""

    def __init__(self, floor: Floor, rng: Random) -> None:
        self.floor, self.rng, self.store = floor, rng, Store()
        self.history = History(self.store)
        self.rules = compile_rules(1, RULES)
        self.calls: dict[int, Waiting] = {}
        self.told: list[str] = []

    async def open(self) -> None:
        await self.floor.open(ORG, rules="\n".join(f"- {json.dumps(rule)}" for rule in RULES))
        for queue in QUEUES:
            self.store.add(self.store.queues, queue.key, queue)
        for name, queues in SERVES.items():
            ident = AgentId(self.floor.agent(name).user_id)
            pool = DE_POOL if name == "dana" else POOL
            skills = SKILLS.get(name, {})
            ranks = RANKS.get(name, {})
            agent = Agent(
                ident, name, pool, frozenset(queues), skills, PresenceState.OFFLINE, START, START, START, ranks=ranks
            )
            self.store.add(self.store.agents, ident, agent)
        for place, name in enumerate(SERVES):
            await self.connect(name)
            await self.present(name, PresenceState.AVAILABLE)
            await self.floor.idle_for(name, 600 - place)
            await self.floor.execute("UPDATE agents SET last_offered_at = now() - interval '1 hour' + make_interval(secs => $2) WHERE id = $1", self.ident(name), place)  # fmt: skip
            agent = self.store.agents.rows[self.ident(name)]
            asked = self.store.now - timedelta(hours=1) + timedelta(seconds=place)
            idle = self.store.now - timedelta(seconds=600 - place)
            self.store.add(self.store.agents, agent.id, agent._replace(idle_since=idle, last_offered_at=asked))

    def ident(self, name: str) -> AgentId:
        return AgentId(self.floor.agent(name).user_id)

    def name_of(self, ident: int) -> str:
        return next(name for name in SERVES if self.ident(name) == ident)

    async def both(self, what: str, real: Callable[[], Awaitable[Any]], name: str, body: Callable[[Tx], Steps[Any]]) -> Any:  # fmt: skip
        """What came of it on Postgres, which must also come of it in memory."""
        self.told.append(what)
        try:
            result: Any = await real()
        except RingdeskError as error:
            result = type(error)
        self.store.now = await self.floor.value("SELECT clock_timestamp()")
        try:
            mine: Any = self.at_once(name, body)
        except RingdeskError as error:
            mine = type(error)
        refusals = [found for found in (result, mine) if isinstance(found, type)]
        assert refusals in ([], [mine, mine]), f"{what}: {result} on Postgres, {mine} in memory\n{self.story()}"
        return result

    def at_once(self, name: str, body: Callable[[Tx], Steps[Any]]) -> Any:
        tx = Tx(self.store, name)
        steps = body(tx)
        try:
            while True:
                next(steps)
        except StopIteration as done:
            if tx.writes:
                commit = self.store.apply(tx)
                tx.release()
                checks.on_commit(self.history, commit)
            return done.value
        finally:
            tx.release()

    # --- acts ------------------------------------------------------------------------------------------------------------------

    async def act(self) -> None:
        weights = {
            self.ring: 6, self.accept: 6, self.reject: 3, self.run_out: 2, self.join: 5, self.not_found: 1, self.vanish: 1,
            self.hang_up: 3, self.finish: 4, self.come: 5, self.leave: 1, self.drop: 1, self.back: 3, self.lost: 2,
            self.rank: 2, self.hold: 1, self.wrapped: 1, self.answer_anything: 1,
        }  # fmt: skip
        for act in self.rng.choices(list(weights), list(weights.values()), k=8):
            if await act():
                return

    def offer(self, *states: OfferState) -> Any:
        found = [o for o in self.store.offers.rows.values() if not states or o.state in states]
        return self.rng.choice(found) if found else None

    def call(self, *states: str) -> Any:
        found = [c for c in self.store.calls.rows.values() if c.outcome is None and (not states or c.state in states)]
        return self.rng.choice(found) if found else None

    async def real_offer(self, offer: Any) -> int:
        """The same one on Postgres: the n-th of this item for this agent."""
        mine = sorted(
            o.id
            for o in self.store.offers.rows.values()
            if (o.work_item_id, o.agent_id) == (offer.work_item_id, offer.agent_id)
        )
        rows = await self.floor.fetch(
            "SELECT id FROM offers WHERE work_item_id = $1 AND agent_id = $2 ORDER BY id",
            offer.work_item_id,
            offer.agent_id,
        )
        found: int = rows[mine.index(offer.id)]["id"]
        return found

    async def ring(self) -> bool:
        if len(self.store.line) > 5:
            return False
        queue, caller = self.rng.choice(tuple(NUMBERS)), f"+1415555010{self.rng.randrange(6)}"
        waited_s = self.rng.choice((0, 0, 5, LATER_S + 5))
        waiting = await self.floor.ring(queue, from_=caller, waited_s=waited_s)
        self.calls[waiting.call_id] = waiting
        ids, self.store.ids = max(self.store.ids, 1_000_000), waiting.item_id - 1
        now = await self.floor.value("SELECT entered_at FROM work_items WHERE id = $1", waiting.item_id)
        self.told.append(f"ring {queue} {caller} as {waiting}")
        self.store.now = now
        body = partial(
            shell.incoming, key=f"in {waiting.call_id}", call_id=waiting.call_id, queue=queue, digits=caller, rules=self.rules
        )  # fmt: skip
        self.at_once("call", body)
        self.store.ids = ids
        self.store.now = await self.floor.value("SELECT clock_timestamp()")
        return True

    async def accept(self) -> bool:
        return await self.answer("accept", self.offer(OfferState.PENDING))

    async def reject(self) -> bool:
        return await self.answer("reject", self.offer(OfferState.PENDING))

    async def answer_anything(self) -> bool:
        return await self.answer(self.rng.choice(("accept", "reject")), self.offer())

    async def answer(self, how: str, offer: Any) -> bool:
        if offer is None:
            return False
        real, name = await self.real_offer(offer), self.name_of(offer.agent_id)
        act = {"accept": self.floor.accept, "reject": self.floor.reject}[how]
        body = partial(getattr(shell, how), offer_id=offer.id, agent_id=offer.agent_id)
        await self.both(f"{name} {how}s {offer.id}", lambda: act(name, real), how, body)
        return True

    async def run_out(self) -> bool:
        offer = self.offer(OfferState.PENDING)
        if offer is None:
            return False
        real = await self.real_offer(offer)

        def body(tx: Tx) -> Steps[None]:
            tx.put(self.store.offers, offer.id, offer._replace(deadline=tx.now))
            shell.cancel_timer(tx, OFFER_TIMER, offer.id)
            yield from shell.offer_timed_out(tx, offer.id, 0)

        await self.both(f"offer {offer.id} runs out", lambda: self.floor.run_out(real), "time-out", body)
        return True

    async def join(self) -> bool:
        call = self.call("connecting")
        if call is None:
            return False

        def body(tx: Tx) -> Steps[None]:
            met = yield from shell.apply(tx, call, CallerJoined(tx.now))
            yield from shell.apply(tx, met, AgentJoined(call.agent_id, tx.now))

        name = self.name_of(call.agent_id)
        await self.both(
            f"{name} joins {call.id}", lambda: self.floor.join(self.calls[call.id], name), "join", body
        )  # fmt: skip
        return True

    async def not_found(self) -> bool:
        call = self.call("connecting", "in_call")
        if call is None:
            return False
        body = partial(
            shell.looked, call_id=call.id, offer_id=call.offer_id, has_caller=True, has_agent=False
        )  # fmt: skip

        def real() -> Awaitable[None]:
            return self.floor.not_found(self.calls[call.id])

        await self.both(f"nobody found in {call.id}", real, "looked", body)
        return True

    async def vanish(self) -> bool:
        call = self.call("in_call")
        if call is None:
            return False

        def body(tx: Tx) -> Steps[None]:
            left = yield from shell.apply(tx, call, AgentLeft(call.agent_id, tx.now))
            yield from shell.looked(tx, left.id, left.offer_id or 0, has_caller=True, has_agent=False)

        name = self.name_of(call.agent_id)
        await self.both(
            f"{name} vanishes from {call.id}",
            lambda: self.floor.agent_vanishes(self.calls[call.id], name), "vanish", body,
        )  # fmt: skip
        return True

    async def hang_up(self) -> bool:
        call = self.call()
        if call is None:
            return False
        body = partial(shell.caller_gone, key=f"gone {call.id}", call_id=call.id)
        await self.both(f"{call.id} hangs up", lambda: self.floor.hang_up(self.calls[call.id]), "hang up", body)
        return True

    async def finish(self) -> bool:
        offer = self.offer(OfferState.WRAPPING, OfferState.ACCEPTED)
        if offer is None:
            return False
        waiting, name = self.calls[offer.call_id], self.name_of(offer.agent_id)
        body = partial(shell.finish_wrap_up, call_id=offer.call_id, agent_id=offer.agent_id)
        await self.both(f"{name} finishes {offer.id}", lambda: self.floor.finish(waiting, name), "finish", body)
        return True

    async def wrapped(self) -> bool:
        """A wrap-up that ends by itself ends."""
        offer = self.offer(OfferState.WRAPPING)
        if offer is None or offer.wrap_ends_at is None:
            return False
        real = await self.real_offer(offer)
        body = partial(shell.wrap_up_timed_out, offer_id=offer.id, _=0)
        await self.both(
            f"wrap-up {offer.id} is over", lambda: self.floor.run_timer(WRAP_TIMER, real), "wrapped", body
        )  # fmt: skip
        return True

    async def present(self, name: str, state: PresenceState) -> None:
        reason = "lunch" if state is PresenceState.BREAK else None
        body = partial(shell.set_presence, agent_id=self.ident(name), state=state, reason=reason)
        await self.both(
            f"{name} is {state}", lambda: self.floor.present(name, state, reason), checks.BY_A_PERSON, body
        )  # fmt: skip

    async def come(self) -> bool:
        away = [a.name for a in self.store.agents.rows.values() if a.presence is not PresenceState.AVAILABLE]
        if away:
            await self.present(self.rng.choice(away), PresenceState.AVAILABLE)
        return bool(away)

    async def leave(self) -> bool:
        await self.present(
            self.rng.choice(tuple(SERVES)), self.rng.choice((PresenceState.BREAK, PresenceState.OFFLINE))
        )  # fmt: skip
        return True

    async def connect(self, name: str) -> None:
        body = partial(shell.desk_connected, agent_id=self.ident(name), sid=name, replica="test")
        await self.both(f"{name} connects", lambda: self.floor.connect(name), "connect", body)

    async def back(self) -> bool:
        gone = [name for name in SERVES if self.store.desks.rows[name].is_closed]
        if gone:
            await self.connect(self.rng.choice(gone))
        return bool(gone)

    async def drop(self) -> bool:
        name = self.rng.choice(tuple(SERVES))
        body = partial(shell.desk_gone, sid=name)
        await self.both(f"{name} loses the desk", lambda: self.floor.disconnect(name), "disconnect", body)
        return True

    async def lost(self) -> bool:
        """The sweep looks for somebody; sometimes a long time after."""
        agents = [a for a in self.store.agents.rows.values() if self.store.desks.rows[a.name].is_closed]
        if not agents:
            return False
        agent = self.rng.choice(agents)
        if agent.presence not in (PresenceState.AVAILABLE, PresenceState.RECONNECTING):
            return False
        if agent.presence is PresenceState.RECONNECTING and self.rng.random() < 0.6:
            gone = timedelta(seconds=self.rng.choice((6, 50)))
            await self.floor.execute(
                "UPDATE agents SET presence_since = presence_since - $2::interval WHERE id = $1", agent.id, gone
            )
            self.store.add(self.store.agents, agent.id, agent._replace(presence_since=agent.presence_since - gone))
        body = partial(shell.agent_is_lost, agent_id=agent.id, _=0)
        await self.both(f"{agent.name} is looked for", lambda: self.floor.sweep_lost(agent.name), "lost", body)
        return True

    async def rank(self) -> bool:
        waiting = [self.store.items.rows[key] for key in sorted(self.store.line)]
        if not waiting:
            return False
        item = self.rng.choice(waiting)
        tier, boost_s, who = self.rng.choice((None, 0, 1)), self.rng.choice((0, 30)), self.supervisor()
        version = await self.floor.value("SELECT version FROM work_items WHERE id = $1", item.id)

        def real() -> Awaitable[Any]:
            return self.floor.transact(
                lambda tx: acts.prioritise(tx, item_id=item.id, tier=tier, boost_s=boost_s, version=version, who=who)
            )

        body = partial(shell.prioritise, item_id=item.id, tier=tier, boost_s=boost_s, version=item.version)
        await self.both(f"{item.id} is ranked {tier} {boost_s}", real, "prioritise", body)
        return True

    def supervisor(self) -> Principal:
        return self.floor.agent("sam")

    async def hold(self) -> bool:
        queue = self.rng.choice(list(self.store.queues.rows.values()))

        async def holds(tx: RealTx) -> None:
            seen = await tx.conn.fetchval("SELECT hold_version FROM queues WHERE key = $1", queue.key)
            await acts.hold(tx, queue=queue.key, is_held=not queue.is_held, version=seen, who=self.supervisor())

        body = partial(shell.hold, queue=queue.key, is_held=not queue.is_held)
        await self.both(f"hold {queue.key}: {not queue.is_held}", lambda: self.floor.transact(holds), "hold", body)
        return True

    async def dispatch(self) -> None:
        self.told.append("dispatch")
        await self.floor.renew(*[name for name in SERVES if self.store.desks.rows[name].lease_until == FOREVER])
        for pool in (POOL, DE_POOL):
            await self.floor.dispatch(pool)
            self.store.now = await self.floor.value("SELECT clock_timestamp()")
            while True:
                done: matcher.Pass = self.at_once("pass", partial(matcher.one_pass, pool=pool, watch=self.watch))
                if done.again_in_s is None and not done.made:
                    break

    def watch(self, tx: Tx, state: Any, decided: Any) -> None:
        checks.on_decision(self.history, tx, state, decided)

    # --- the comparison --------------------------------------------------------------------------------------------------------

    async def same(self) -> None:
        real, mine = await self.real_state(), self.my_state()
        for what, rows in real.items():
            assert rows == mine[what], f"{what}\n{rows} on Postgres\n{mine[what]} in memory\n{self.story()}"

    async def real_state(self) -> dict[str, Any]:
        fetch = self.floor.fetch
        items = await fetch(
            "SELECT id, state, queue, tier, boost_s, is_tier_by_hand, is_boost_by_hand, step, end_reason FROM work_items ORDER BY id"
        )
        offers = await fetch("SELECT work_item_id, agent_id, state, reason, step FROM offers ORDER BY id")
        agents = await fetch(
            "SELECT id, presence, presence_reason, next_presence, used_units, misses FROM agents WHERE id = ANY($1) ORDER BY id",
            [self.ident(name) for name in SERVES],
        )
        idle = await fetch(
            "SELECT id FROM agents WHERE id = ANY($1) ORDER BY idle_since, id", [self.ident(n) for n in SERVES]
        )
        calls = await fetch("SELECT id, state, outcome FROM calls ORDER BY id")
        excluded = await fetch("SELECT work_item_id, agent_id, reason FROM exclusions ORDER BY 1, 2")
        return {
            "items": [tuple(row.values()) for row in items],
            "offers": sorted(tuple(str(value) for value in row.values()) for row in offers),
            "agents": [tuple(row.values()) for row in agents],
            "idle": [row["id"] for row in idle],
            "calls": [tuple(row.values()) for row in calls],
            "excluded": [tuple(row.values()) for row in excluded],
        }

    def my_state(self) -> dict[str, Any]:
        store = self.store
        agents = sorted(store.agents.rows.values(), key=lambda a: a.id)
        return {
            "items": [(i.id, i.state, i.queue, i.tier, i.boost_s, i.is_tier_by_hand, i.is_boost_by_hand, i.step, i.end_reason) for i in sorted(store.items.rows.values(), key=lambda i: i.id)],
            "offers": sorted(
                tuple(map(str, (o.work_item_id, o.agent_id, o.state, o.reason, o.step))) for o in store.offers.rows.values()
            ),
            "agents": [(a.id, a.presence, a.presence_reason, a.next_presence, a.used_units, a.misses) for a in agents],
            "idle": [a.id for a in sorted(agents, key=lambda a: (a.idle_since, a.id))],
            "calls": [(c.id, c.state, c.outcome) for c in sorted(store.calls.rows.values(), key=lambda c: c.id)],
            "excluded": sorted((*key, row.reason) for key, row in store.exclusions.rows.items()),
        }  # fmt: skip

    def story(self) -> str:
        return "\n".join(f"  {line}" for line in self.told[-30:])


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.timeout(300)
async def test_the_simulation_does_what_the_service_does(floor: Floor, seed: int) -> None:
    twins = Twins(floor, Random(seed))
    await twins.open()
    await twins.same()
    for _ in range(ACTS):
        await twins.act()
        if twins.rng.random() < 0.7:
            await twins.dispatch()
        await twins.same()
