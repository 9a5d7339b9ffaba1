"""What a measurement says: a table for people while it runs, one JSON file at the end. No path and no host's name in it."""

import argparse
import asyncio
import json
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
RESULTS: Final = ROOT / "bench" / "results"
PACKAGES: Final = (
    "ringdesk",
    "aiohttp",
    "aio-pika",
    "asyncpg",
    "redis",
    "python-socketio",
    "python-engineio",
    "uvloop",
    "orjson",
)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Options:
    """`quick`: small enough for a test; its figures mean nothing."""

    quick: bool
    out: Path
    repetitions: int
    only: str | None
    minutes: float | None = None
    """How long a shift lasts, in a measurement that has one."""

    def wants(self, part: str) -> bool:
        return self.only is None or self.only in part


def options(about: str, *, repetitions: int = 3, minutes: float | None = None) -> Options:
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a smoke version of a few seconds")
    parser.add_argument("--out", type=Path, help="folder for the JSON (default: bench/results, --quick: none)")
    parser.add_argument("--repetitions", type=int, help=f"rounds of each figure (default: {repetitions})")
    parser.add_argument("--only", help="only the parts whose name contains this")
    if minutes is not None:
        parser.add_argument("--minutes", type=float, default=minutes, help=f"how long it lasts (default: {minutes:g})")
    given = parser.parse_args()
    out = given.out or (ROOT / ".dev" / "bench" if given.quick else RESULTS)
    rounds = given.repetitions or (1 if given.quick else repetitions)
    return Options(given.quick, out, rounds, given.only, getattr(given, "minutes", None))


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the output of a program


def run(main: Coroutine[Any, Any, int]) -> None:
    """With uvloop, as the service itself runs. SIGTERM unwinds like Ctrl-C, so that no server is left behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        import uvloop
    except ImportError:
        sys.exit(asyncio.run(main))
    sys.exit(uvloop.run(main))


def quantile(values: Sequence[float], q: float) -> float:
    """By nearest rank; NaN of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(q * len(ordered) + 0.5) - 1))]


def spread(values: Sequence[float]) -> dict[str, float]:
    """The median over repetitions, with the least and the greatest."""
    return {"median": round(statistics.median(values), 3), "min": round(min(values), 3), "max": round(max(values), 3)}


def latencies(rounds: Sequence[Sequence[float]]) -> Row:
    """Milliseconds of all rounds → p50, p99 and max, each with its spread over the rounds."""
    if not rounds or not all(rounds):
        raise ValueError("a round has no values")
    return {
        "n": sum(len(values) for values in rounds),
        "p50": spread([quantile(values, 0.5) for values in rounds]),
        "p99": spread([quantile(values, 0.99) for values in rounds]),
        "max": round(max(max(values) for values in rounds), 3),
    }


def shown(figure: Mapping[str, float]) -> str:
    """`2.1 [1.9-2.4]`."""
    return f"{figure['median']:.4g} [{figure['min']:.4g}-{figure['max']:.4g}]"


@dataclass
class Report:
    name: str
    options: Options
    rows: list[Row] = field(default_factory=list)
    ratios: Row = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    servers: dict[str, str] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    load_before: tuple[float, float, float] = field(default_factory=os.getloadavg)

    def say(self, text: str) -> None:
        say(f"[{time.monotonic() - self.began:6.1f} s] {text}")

    def add(self, what: str, **facts: Any) -> Row:
        row: Row = {"what": what, **facts}
        self.rows.append(row)
        told = (
            f"{name} {shown(value) if isinstance(value, dict) and 'median' in value else value}"
            for name, value in facts.items()
        )
        self.say(f"{what}: {', '.join(told)}")
        return row

    def ratio(self, name: str, value: float, goal: float | None = None, *, at_least: bool = False) -> None:
        """`goal`: what it should be at most, or with `at_least` at least."""
        reached = None if goal is None else (value >= goal if at_least else value <= goal)
        self.ratios[name] = {"value": round(value, 3), "goal": goal, "reached": reached}
        told = (
            ""
            if goal is None
            else f" (goal {'≥' if at_least else '≤'} {goal:g}: {'reached' if reached else 'NOT reached'})"
        )
        self.say(f"{name}: {value:.2f}{told}")

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.say(text)

    def write(self) -> Path:
        document = {
            "bench": self.name,
            "quick": self.options.quick,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self.began, 1),
            "repetitions": self.options.repetitions,
            "machine": machine() | {"load_before": self.load_before, "load_after": os.getloadavg()},
            "servers": self.servers,
            "rows": self.rows,
            "ratios": self.ratios,
            "notes": self.notes,
        }
        self.options.out.mkdir(parents=True, exist_ok=True)
        path = self.options.out / f"{self.name}.json"
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        return path


def machine() -> Row:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "memory_gib": round(pages / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
