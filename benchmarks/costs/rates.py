"""Costs at each of the model's rates, from what was measured at these or at others. Measures nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable

from engine.cli.sizing import RATES, Rated


def between(slow: float, slow_us: float, fast: float, fast_us: float) -> Rated:
    """Of each of `RATES`, by a power of the rate, which is how costs of events were found to fall."""
    slow_us, fast_us = max(0.1, slow_us), max(0.1, min(slow_us, fast_us))
    power = math.log(fast_us / slow_us) / math.log(fast / slow) if fast > slow else 0.0
    return rising(slow_us * (min(max(rate, slow), fast) / slow) ** power for rate in RATES)


def rising(costs_us: Iterable[float]) -> Rated:
    """Of each of `RATES`, so that a second with more of them takes no less: where it seems to, that is noise."""
    found: list[float] = []
    second_us = 0.0
    for rate, cost_us in zip(RATES, costs_us, strict=True):
        second_us = max(second_us, rate * cost_us)
        found.append(second_us / rate)
    return tuple(found)
