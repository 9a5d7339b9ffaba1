"""Who calls, and how long they wait and talk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from simulator.chance import Chance
from simulator.people.api import Api, Refused, Unanswered

SUPERVISOR: Final = "supervisor@demo.example"
"""Who may read agents and customers in the demo organisation."""
KINDS = {"customer": 0.6, "stranger": 0.22, "withheld": 0.1, "again": 0.08}
STRANGERS = ["+1415555", "+49301901", "+8621555"]


@dataclass(frozen=True, slots=True)
class CallerHabits:
    patience_median_s: float = 25
    patience_least_s: float = 4
    patience_most_s: float = 60
    talk_s: tuple[float, float] = (5, 20)
    hangs_up_first: float = 0.6
    """Else the agent ends the talk."""


class Crowd:
    """Draws callers: known customers, strangers, hidden numbers, and people who call once more."""

    def __init__(self, chance: Chance, habits: CallerHabits, customers: Sequence[str]) -> None:
        self._chance = chance
        self._habits = habits
        self._customers = list(customers)
        self._last: str | None = None

    def next_call(self, to: str) -> dict[str, Any]:
        """The body of POST /calls."""
        habits, chance = self._habits, self._chance
        patience_s = chance.patience_s(habits.patience_median_s, least=habits.patience_least_s)
        call: dict[str, Any] = {
            "from": self._number(to),
            "to": to,
            "patience_s": round(min(patience_s, habits.patience_most_s), 2),
        }
        if chance.happens(habits.hangs_up_first):
            call["talk_s"] = round(chance.between(*habits.talk_s), 2)
        return call

    def _number(self, to: str) -> str:
        kind = self._chance.weighted(KINDS)
        if kind == "withheld":
            return "anonymous"
        if kind == "again" and self._last is not None:
            return self._last
        if kind == "stranger" or not self._customers:
            prefix = self._chance.one_of(STRANGERS)
            self._last = f"{prefix}{self._chance.whole(1000, 9999)}"
        else:
            # People call the line of their own country, if there are any.
            near = [number for number in self._customers if number[:2] == to[:2]]
            self._last = self._chance.one_of(near or self._customers)
        return self._last


async def customer_numbers(api: Api, limit: int = 200) -> list[str]:
    """Phones of known customers, as far as the service tells this user; none is fine."""
    try:
        page = await api.get("/api/v1/customers", limit=str(limit))
    except (Refused, Unanswered):
        return []
    return sorted({phone for customer in page["items"] for phone in customer["phones"]})
