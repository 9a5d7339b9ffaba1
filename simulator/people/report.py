"""What became of simulated calls: each one answered, abandoned or lost, and why lost."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Fate = Literal["answered", "abandoned", "lost"]
FINISHED = frozenset({"closed", "wrap_up"})


@dataclass(frozen=True, slots=True)
class Judgement:
    fate: Fate
    why: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """`lost` counts calls without exactly one ticket or one end, and pops shown twice; a clean run has none."""

    calls: int
    answered: int
    abandoned: int
    lost: int
    pops: int
    duplicate_pops: int
    pop_ms: dict[str, float | None]
    seconds: float
    seed: int
    agents: int
    unknown: int
    """Requests to start a call that were never answered: such a call may exist or not."""
    failures: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return self.lost == 0

    def as_json_line(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)


def judge(records: Sequence[dict[str, Any]]) -> Judgement:
    """The fate of one call by what the service says of its CallSid (`GET /api/v1/calls?sid=`), after the drain."""
    if len(records) != 1:
        return Judgement("lost", f"the service has {len(records)} calls of this sid")
    call = records[0]
    state, outcome = call["state"], call["outcome"] or ""
    if call["ticket"] is None and call["queued_at"] is not None:
        return Judgement("lost", "it was queued and has no ticket")
    if state not in FINISHED:
        return Judgement("lost", f"it is over and still {state}")
    if outcome == "answered":
        return Judgement("answered")
    if outcome.startswith("abandoned"):
        return Judgement("abandoned")
    return Judgement("lost", f"its outcome is {outcome or 'missing'}")


def percentile(values: Sequence[float], share: float) -> float | None:
    """By nearest rank; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 1)
