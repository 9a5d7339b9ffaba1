"""How properties are tried here: by number of examples, never by the clock of a crowded machine."""

from typing import Final

from hypothesis import HealthCheck, settings

LAWS: Final = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
