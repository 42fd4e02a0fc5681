"""What the engine takes from its surroundings: time, chance and names. Here all three come from the world.

Without this a seed would not replay: the engine numbers its reports by the machine's clock, and jitters its waits.
"""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable, Iterator
from unittest import mock

from engine import tasks
from engine.leader import reaper, relay
from engine.occupancy import redis as occupancy
from engine.occupancy import reporter
from tests.simulation.plan import Plan

#: How much is done at one time; made small, what lies between two slices happens in small clusters, too.
SLICES = (
    (reporter, "MAX_REPORTS"),
    (reaper, "PURGE_FACTS"),
    (reaper, "PURGE_SLICES"),
    (relay, "DUE_SLICE"),
    (reaper, "AUDIT_FIGURES"),
)


class Clocks:
    """In place of the module `time`, where the simulated parts use it.

    :param now: virtual seconds. :param wall_us: what the clock of the machine shows whose turn it is.
    """

    def __init__(self, now: Callable[[], float], wall_us: Callable[[], int]) -> None:
        self.monotonic = now
        self._wall_us = wall_us

    def time_ns(self) -> int:
        return self._wall_us() * 1000


@contextlib.contextmanager
def given(plan: Plan, clocks: Clocks) -> Iterator[None]:
    """Surround the engine by these until the end of the block."""
    state = random.getstate()
    random.seed(f"engine {plan.seed}")
    names = (f"i{n}" for n in itertools.count(1))
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(reporter, "_new_incarnation", lambda: next(names)))
        # Of this process, from which streams take their names.
        stack.enter_context(mock.patch.object(occupancy, "SEED", f"{plan.seed:032x}"))
        for module in (occupancy, relay, tasks):
            stack.enter_context(mock.patch.object(module, "time", clocks))
        if plan.slices:
            for module, name in SLICES:
                stack.enter_context(mock.patch.object(module, name, plan.slices))
        try:
            yield
        finally:
            random.setstate(state)
