"""From the webhook of a call to the pop on the agent's desk, and how many whole calls a second that holds.

    python3 dev.py bench call_to_pop [--quick] [--only local|rabbitmq|whole]

The load (`bench/kit/callers.py`) is a process of its own: it plays callers, provider and desks for floor and product alike, offers calls in an
open loop and counts a call's time from the moment it was due. Each round forgets the calls of the one before; the desks stay. Floor
and product take turns within a repetition, so that a disturbance meets both.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from app.embedded.children import free_port
from bench import floor
from bench.kit import centre, product
from bench.kit.centre import Person
from bench.kit.process import Helper, cpu_s, helper, pss_mb
from bench.kit.product import Service
from bench.kit.report import Options, Report, latencies, options, quantile, run, say
from bench.kit.servers import Servers, servers

RATES: Final = (1, 20, 50, 100, 200)
WHOLE_LIMIT_MS: Final = 50.0
LEAST_WHOLE: Final = 0.5
BUSY: Final = 0.85
"""A load generator with less than this much of a core to spare measures itself."""


AT_REST: Final = 0.4
"""Of a core. 1,700 idle desks cost a quarter of one."""
AT_REST_WITHIN_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Size:
    rates: tuple[float, ...]
    least_calls: int
    seconds: float
    desks: int
    customers: int
    whole_from: float
    whole_seconds: float

    def calls(self, rate: float) -> int:
        return max(self.least_calls, round(rate * self.seconds))


FULL: Final = Size(RATES, 30, 8, 1700, 100_000, 8, 10)
QUICK: Final = Size((10,), 10, 1, 20, 500, 4, 1)


async def at_rest(pids: Sequence[int]) -> None:
    """Until the processes need little: desks that have just come are still being told what they need."""
    async with asyncio.timeout(AT_REST_WITHIN_S):
        while True:
            before = sum(map(cpu_s, pids))
            await asyncio.sleep(1)
            if sum(map(cpu_s, pids)) - before < AT_REST:
                return


@dataclass
class Side:
    """Floor or product, running, with its desks connected."""

    name: str
    load: Helper
    service: Service
    forget: Callable[[], Awaitable[None]]
    next_customer: int = 1

    async def calls(self, rate: float, count: int, *, seed: int, whole: bool = False, customers: int) -> dict[str, Any]:
        await self.forget()
        warm_up = min(20, count // 4)
        first = 1 if self.next_customer + count + warm_up > customers else self.next_customer
        self.next_customer = first + count + warm_up
        within_s = 60 + (count + warm_up) / rate
        return await self.load.ask(
            within_s, do="calls", rate=rate, count=count + warm_up, warm_up=warm_up, first=first, seed=seed, whole=whole
        )


async def main() -> int:
    report = Report("call_to_pop", options(__doc__ or ""))
    size = QUICK if report.options.quick else FULL
    async with servers(report, rabbitmq="rabbitmq" in (report.options.only or "rabbitmq")) as running:
        report.say(f"a floor and a centre with {size.desks} desks and {size.customers} customers …")
        sides = await floor.furnish(running, agents=size.desks, customers=size.customers)
        people = await centre.furnish(
            await running.create_migrated("product"), agents=size.desks, customers=size.customers
        )
        bench = Bench(report, running, size, sides, people)
        if report.options.wants("local"):
            await bench.pops("local", ("one", "two", "same"), split=False)
        if report.options.wants("local whole"):
            await bench.whole("local whole", split=False)
        if running.rabbitmq is not None:
            if report.options.wants("rabbitmq"):
                await bench.pops("rabbitmq", ("same",), split=True)
            if report.options.wants("rabbitmq whole"):
                await bench.whole("rabbitmq whole", split=True)
            if report.options.wants("rabbitmq whole 2 web + 2 worker") and not report.options.quick:
                await bench.whole("rabbitmq whole 2 web + 2 worker", split=True, count=2)
    say(f"written: {report.write().name}")
    return 0


@dataclass
class Bench:
    report: Report
    servers: Servers
    size: Size
    floor_people: list[Person]
    people: list[Person]

    @property
    def options(self) -> Options:
        return self.report.options

    async def open(
        self,
        stack: AsyncExitStack,
        name: str,
        people: list[Person],
        open_: Callable[[int], AbstractAsyncContextManager[Service]],
    ) -> Side:
        port = free_port()
        load = await stack.enter_async_context(helper("bench.kit.callers", str(port)))
        service = await stack.enter_async_context(open_(port))
        wanted = [[person.id, person.secret] for person in people]
        answer = await load.ask(
            600, do="connect", public_url=service.public_url, hooks=service.urls, urls=service.urls, people=wanted
        )
        await at_rest([program.pid for program in service.programs])
        self.report.say(f"{name}: {answer['connected']} desks connected in {answer['seconds']} s")

        async def forget() -> None:
            if name == "product":
                await centre.forget_calls(self.servers.database("product"))
            else:
                await floor.forget_calls(self.servers)

        return Side(name, load, service, forget)

    def product(self, split: bool, count: int = 1) -> Callable[[int], AbstractAsyncContextManager[Service]]:
        if split:
            return lambda port: product.processes(
                self.servers, "product", webs=count, workers=count, provider_port=port
            )
        return lambda port: product.one_process(self.servers, "product", provider_port=port)

    def floor(self, shape: str, split: bool, count: int = 1) -> Callable[[int], AbstractAsyncContextManager[Service]]:
        return lambda port: floor.service(
            self.servers, shape, split=split, webs=count, workers=count, provider_port=port
        )

    # --- call to pop ---------------------------------------------------------------------------------------------------

    async def pops(self, part: str, shapes: tuple[str, ...], *, split: bool) -> None:
        """All rates, one after the other; within a rate floor and product take turns."""
        async with AsyncExitStack() as stack:
            sides = [
                await self.open(stack, f"floor {shape}", self.floor_people, self.floor(shape, split))
                for shape in shapes
            ]
            sides.append(await self.open(stack, "product", self.people, self.product(split)))
            for rate in self.size.rates:
                rounds: dict[str, list[dict[str, Any]]] = {side.name: [] for side in sides}
                for repetition in range(self.options.repetitions):
                    for side in sides:
                        count = self.size.calls(rate)
                        found = await side.calls(rate, count, seed=repetition, customers=self.size.customers)
                        rounds[side.name].append(found)
                for name, found_rounds in rounds.items():
                    self._tell(part, name, rate, found_rounds)
                self._compare(part, rate, shapes, rounds)
            memory = {program.name: round(pss_mb(program.pid), 1) for program in sides[-1].service.programs}
            self.report.add(f"{part}: memory of the product with {len(self.people)} desks, MB", **memory)

    def _tell(self, part: str, name: str, rate: float, rounds: list[dict[str, Any]]) -> None:
        self.report.add(
            f"{part}, {name}, {rate:g} calls/s",
            part=part, side=name, rate=rate, **latencies([each["ms"] for each in rounds]),
            **_losses(rounds),
        )  # fmt: skip
        self._suspect(part, name, rate, rounds)

    def _suspect(self, part: str, name: str, rate: float, rounds: list[dict[str, Any]]) -> None:
        own = max(each["own_cpu"] for each in rounds)
        if own > BUSY:
            self.report.note(
                f"{part}, {name}, {rate:g} calls/s: the load generator is the bottleneck ({own:.2f} of a core)"
            )

    def _compare(
        self, part: str, rate: float, shapes: tuple[str, ...], rounds: dict[str, list[dict[str, Any]]]
    ) -> None:
        for shape in shapes:
            for name, q, goal in (("p50", 0.5, 1.5), ("p99", 0.99, 2.5)):
                ratios = sorted(
                    quantile(ours["ms"], q) / quantile(bare["ms"], q)
                    for ours, bare in zip(rounds["product"], rounds[f"floor {shape}"], strict=True)
                )
                is_goal = shape == "same" and rate == max(self.size.rates)
                middle = ratios[len(ratios) // 2]
                self.report.ratio(
                    f"{part}, {rate:g} calls/s, {name} to floor {shape}", middle, goal if is_goal else None
                )

    # --- whole calls ---------------------------------------------------------------------------------------------------

    async def whole(self, part: str, *, split: bool, count: int = 1) -> None:
        """The greatest rate that holds: nothing lost, everything finished, p99 of the pop within WHOLE_LIMIT_MS."""
        held: dict[str, float] = {}
        sides = (
            ("floor same", self.floor_people, self.floor("same", split, count)),
            ("product", self.people, self.product(split, count)),
        )
        for name, people, open_ in sides:
            async with AsyncExitStack() as stack:
                side = await self.open(stack, name, people, open_)
                held[name] = await self._climb(part, side)
                self.report.add(f"{part}, {name}: sustained whole calls/s", part=part, side=name, per_s=held[name])
        if held["floor same"]:
            goal = None if self.options.quick else 0.5
            self.report.ratio(
                f"{part}: whole calls/s to floor same", held["product"] / held["floor same"], goal, at_least=True
            )

    async def _climb(self, part: str, side: Side) -> float:
        """Half as much again until it does not hold, then back in tenths between the last two. Where the first rate is too much
        already, half of it, and half of that."""
        rate, best = self.size.whole_from, 0.0
        if not await self._holds(part, side, rate):
            if self.options.quick:
                return best
            while rate > LEAST_WHOLE:
                rate /= 2
                if await self._holds(part, side, rate):
                    return rate
            return best
        while True:
            best = rate
            if self.options.quick:
                return best
            rate *= 1.5
            if not await self._holds(part, side, rate):
                break
        step = best * 0.1
        for _n in range(1, 5):
            if not await self._holds(part, side, best + step):
                break
            best = best + step
        return round(best, 1)

    async def _holds(self, part: str, side: Side, rate: float) -> bool:
        count = max(10, round(rate * self.size.whole_seconds))
        found = await side.calls(rate, count, seed=int(rate), whole=True, customers=self.size.customers)
        p50, p99 = quantile(found["ms"], 0.5), quantile(found["ms"], 0.99)
        overtime = found["finished_s"] - found["seconds"]
        is_fine = not found["lost"] and not found["unfinished"] and not found["failures"] and overtime < 5
        self.report.add(
            f"{part}, {side.name}, {rate:.3g} whole calls/s", part=part, side=side.name, rate=rate, p50_ms=round(p50, 2), p99_ms=round(p99, 2),
            overtime_s=round(overtime, 1), own_cpu=found["own_cpu"], lost=found["lost"], unfinished=found["unfinished"],
            failures=found["failures"],
        )  # fmt: skip
        self._suspect(part, side.name, rate, [found])
        return is_fine and (p99 <= WHOLE_LIMIT_MS or self.options.quick)


def _losses(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "lost": sum(each["lost"] for each in rounds),
        "shown_twice": max(each["shown_twice"] for each in rounds),
        "failures": [failure for each in rounds for failure in each["failures"]][:3],
        "load_late_p99_ms": max(each["late_p99_ms"] for each in rounds),
        "load_cpu": max(each["own_cpu"] for each in rounds),
    }


if __name__ == "__main__":
    run(main())
