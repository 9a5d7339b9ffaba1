"""Seedable chance and everything minted from it."""

import random

PREFIXES = {"call": "CA", "conference": "CF", "queue": "QU", "number": "PN", "recording": "RE", "request": "RQ"}


class Chance:
    """With a seed, runs repeat, SIDs included; so a service that keeps its data needs `None` (from the system)."""

    def __init__(self, seed: int | None) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable tests, not secrets

    def happens(self, probability: float) -> bool:
        return probability > 0 and (probability >= 1 or self._random.random() < probability)

    def sid(self, kind: str) -> str:
        return f"{PREFIXES[kind]}{self._random.getrandbits(128):032x}"

    def token(self) -> str:
        bits = f"{self._random.getrandbits(128):032x}"
        return "-".join((bits[:8], bits[8:12], bits[12:16], bits[16:20], bits[20:]))

    def between(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def whole(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def next_arrival_s(self, per_minute: float) -> float:
        """Gap to the next arrival of a Poisson stream."""
        return self._random.expovariate(per_minute / 60)

    def patience_s(self, median: float, spread: float = 0.6, least: float = 1) -> float:
        """How long a caller waits: log-normal, as call centres observe it."""
        return max(least, median * self._random.lognormvariate(0, spread))

    def weighted(self, choices: dict[str, float]) -> str:
        return self._random.choices(list(choices), weights=list(choices.values()))[0]

    def one_of(self, choices: list[str]) -> str:
        return self._random.choice(choices)

    def child(self) -> "Chance":
        """An independent stream, so that parallel actors do not disturb each other's draws."""
        return Chance(self._random.getrandbits(64))
