"""What a waiting caller is told about time: how long those waited who were answered lately. No guess, and nothing where there is nothing to say."""

import math
from collections.abc import Sequence
from typing import Final

LEAST: Final = 5
"""Fewer answered calls say nothing about the next."""
EVERY_S: Final = 60
"""The range is said about so often, not with each round."""
A_ROUND_S: Final = 16
"""What a round lasts by and large: its music and what is said, longer or shorter by the language."""


def range_of(waits_s: Sequence[float], *, waited_s: float) -> tuple[int, int] | None:
    """From how many to how many minutes the middle three fifths waited; None for too few, or for a caller who has waited longer than that."""
    if len(waits_s) < LEAST:
        return None
    ordered = sorted(waits_s)
    fifth = len(ordered) // 5
    low_s, high_s = ordered[fifth], ordered[-fifth - 1]
    if waited_s >= high_s:
        return None
    return math.floor(low_s / 60), max(1, math.ceil(high_s / 60))


def is_time_to_say(waited_s: float) -> bool:
    """In the first round of each minute. Nothing is remembered from round to round, so now and then it is two of them or none."""
    return waited_s % EVERY_S < A_ROUND_S
