"""Faults of our own processes and of the machine they share."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import aio_pika
import asyncpg

from simulator.people.api import open_api
from tests.chaos.loads import GERMAN, offered
from tests.chaos.scene import Scene, Strike
from tests.chaos.stack import Program, Stack, children_of

Chosen = Callable[[Stack], Sequence[Program]]
DESKS_BACK_WITHIN_S: Final = 30.0


def workers(stack: Stack) -> Sequence[Program]:
    return stack.workers


def replica_of_calls(stack: Stack) -> Sequence[Program]:
    return stack.webs[:1]


def replica_of_desks(stack: Stack) -> Sequence[Program]:
    return stack.webs[1:]


def everybody(stack: Stack) -> Sequence[Program]:
    return [*stack.workers, *stack.webs]


def killed(chosen: Chosen) -> Strike:
    """kill -9, and started again at once, one after the other."""

    async def strike(scene: Scene) -> None:
        for program in chosen(scene.stack):
            before = await scene.stack.replicas_of_desks()
            pid = await program.kill()
            if program in scene.stack.workers:
                assert await offered(scene.stack, scene.load) < 20, "the other worker does not take over"
            await program.start()
            assert program.pid != pid
            if program is scene.stack.webs[1]:
                back = partial(scene.stack.desks_are_back, before)
                await scene.seen(back, "the desks are back", within_s=DESKS_BACK_WITHIN_S)
            scene.proved()

    return strike


def restarted(chosen: Chosen) -> Strike:
    """SIGTERM: what is under way is finished, and the process says that all is well."""

    async def strike(scene: Scene) -> None:
        for program in chosen(scene.stack):
            await program.stop()
            assert program.returncode == 0
            await program.start()
            scene.proved()

    return strike


def frozen(chosen: Chosen, *, for_s: float) -> Strike:
    """SIGSTOP past its time-outs and leases, then SIGCONT: it finishes what it had begun, if nobody else has."""

    async def strike(scene: Scene) -> None:
        for program in chosen(scene.stack):
            program.send(signal.SIGSTOP)
            try:
                await scene.lasts(for_s)
                state = Path(f"/proc/{program.pid}/stat").read_text().rpartition(")")[2].split()[0]
            finally:
                program.send(signal.SIGCONT)
            scene.proved(state == "T")

    return strike


async def starved(scene: Scene) -> None:
    """Two more than there are cores burn what there is."""
    burners = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass", start_new_session=True)
        for _ in range(4)
    ]
    try:
        await scene.lasts(5)
        await scene.load.answered(1)
    finally:
        for burner in burners:
            burner.kill()
            await burner.wait()
    scene.proved(len(burners))


async def two_dispatchers(scene: Scene) -> None:
    """Both workers are told to look, over and over: the pool's lock lets one of them."""
    pools = [row["pool_id"] for row in await scene.stack.fetch("SELECT DISTINCT pool_id FROM queues")]
    async with scene.channel() as channel:
        for _ in range(100):
            for pool in pools:
                await channel.default_exchange.publish(aio_pika.Message(b""), f"routing.dispatch.{pool}")
    assert await scene.stack.broken(settled=False) == {}
    scene.proved(100 * len(pools))


async def caller_leaves_while_it_rings(scene: Scene) -> None:
    """The offer is withdrawn, and the agent free again."""
    sid = await scene.load.call(GERMAN)

    async def rings() -> bool:
        return bool(
            await scene.stack.fetch(
                "SELECT 1 FROM offers o JOIN calls c ON c.id = o.call_id WHERE c.sid = $1 AND o.state = 'pending'", sid
            )
        )

    async def is_open() -> bool:
        return bool(
            await scene.stack.fetch(
                "SELECT 1 FROM offers o JOIN calls c ON c.id = o.call_id WHERE c.sid = $1 AND o.state IN ('pending', 'accepted')",
                sid,
            )
        )

    async def is_not_open() -> bool:
        return not await is_open()

    await scene.seen(rings, "it rings at somebody")
    async with open_api(scene.stack.simulator_url) as phones:
        await phones.post(f"/calls/{sid}/hangup")
    await scene.seen(is_not_open, "the offer is withdrawn", within_s=5)
    scene.proved()


async def skills_are_taken_away(scene: Scene) -> None:
    """Of agents who may just be asked: whoever is offered something afterwards has what it needs."""
    async with scene.session() as conn:
        rows = await conn.fetch("SELECT id, skills FROM agents WHERE presence <> 'offline' ORDER BY id LIMIT 2")
        ids = [row["id"] for row in rows]
        await conn.execute("UPDATE agents SET skills = '{}', version = version + 1 WHERE id = ANY($1)", ids)
        try:
            await scene.load.answered(2)
        finally:
            for row in rows:
                await conn.execute(
                    "UPDATE agents SET skills = $2, version = version + 1 WHERE id = $1", row["id"], row["skills"]
                )
    scene.proved(len(rows))


async def helper_of_postgres_dies(scene: Scene) -> None:
    """A background writer of Postgres dies: the whole server restarts itself, and everybody connects again."""
    postmaster = scene.stack.postgres.server.pid
    before = scene.stack.postgres.link.connections
    [victim] = [pid for pid in children_of(postmaster) if b"checkpointer" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(victim, signal.SIGKILL)

    async def is_used() -> bool:
        with contextlib.suppress(asyncpg.PostgresError, OSError):
            await scene.stack.now()
            return scene.stack.postgres.link.connections > before
        return False

    await scene.seen(is_used, "it has recovered, and somebody connects again")
    scene.proved()
