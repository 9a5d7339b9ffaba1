"""Faults of the links: between us and Postgres, RabbitMQ, Redis, the provider, and the desks."""

from typing import Final

from tests.chaos.scene import Scene, Strike
from tests.link import Link, Mode

LASTS_S: Final = 3.0


def _evidence(link: Link, mode: Mode) -> int:
    return link.resets if mode in (Mode.RESET, Mode.REFUSE) else link.held


def broken(name: str, mode: Mode, *, for_s: float = LASTS_S) -> Strike:
    """The link is in this mode for so long. Proof: connections that it reset, or bytes that it held back."""

    async def strike(scene: Scene) -> None:
        link = scene.stack.links[name]
        before = _evidence(link, mode)
        await link.set(mode)

        async def is_felt() -> bool:
            return _evidence(link, mode) > before

        await scene.seen(is_felt, f"somebody meets {name}: {mode}")
        await scene.lasts(for_s)
        await link.set(Mode.PASS)
        scene.proved(_evidence(link, mode) - before)

    return strike


def slow(name: str, delay_s: float, *, for_s: float = LASTS_S) -> Strike:
    async def strike(scene: Scene) -> None:
        link = scene.stack.links[name]
        before = link.delayed
        link.delay_s = delay_s
        await scene.lasts(for_s)

        async def is_felt() -> bool:
            return link.delayed > before

        await scene.seen(is_felt, f"something passes {name} slowly")
        await link.set(Mode.PASS)
        scene.proved(link.delayed - before)

    return strike


def cut_after(name: str, pattern: bytes, *, times: int) -> Strike:
    """The pattern arrives and takes effect, its sender hears nothing more: the outcome is unknown."""

    async def strike(scene: Scene) -> None:
        link = scene.stack.links[name]
        before = link.cuts
        link.cut_after(pattern, times=times)

        async def is_done() -> bool:
            return link.cuts >= before + times

        await scene.seen(is_done, f"{times} connections of {name} carry {pattern!r}")
        await link.set(Mode.PASS)
        scene.proved(link.cuts - before)

    return strike


def flapping(name: str, times: int) -> Strike:
    """Reset at random moments, and passing again at once."""

    async def strike(scene: Scene) -> None:
        link = scene.stack.links[name]
        before = link.resets
        for _ in range(times):
            link.cut()
            await scene.lasts(scene.rng.uniform(0.05, 0.4))

        async def is_felt() -> bool:
            link.cut()
            return link.resets > before

        await scene.seen(is_felt, f"{name} has connections to reset")
        scene.proved(link.resets - before)

    return strike
