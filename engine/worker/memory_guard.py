"""Looks once a second whether there is memory for more connections, and says so to the admission.

A part of the worker; it decides over newcomers only, and ends nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from engine.machine.memory import Gauge, Memory
from engine.metrics.process import ProcessMetrics

#: So far below the threshold use must fall before newcomers are let in again: no flapping.
RELIEF = 0.02

_log = logging.getLogger(__name__)


class MemoryGuard:
    """:param threshold: fraction of the memory in use from which newcomers are refused; 1 is no guard.
    :param on_change: called with whether they are, whenever that changes.
    """

    def __init__(
        self,
        threshold: float,
        on_change: Callable[[bool], None],
        metrics: ProcessMetrics,
        measure: Callable[[], Memory] | None = None,
    ) -> None:
        self._threshold = threshold
        self._on_change = on_change
        self._metrics = metrics
        self._measure = measure or Gauge().read
        self._refusing = False

    def look(self) -> None:
        """Measure, and decide anew."""
        now = self._measure()
        self._metrics.memory_used_bytes.set(now.used)
        self._metrics.memory_limit_bytes.set(now.total)
        used = now.used / now.total if now.total else 0.0
        threshold = self._threshold - RELIEF if self._refusing else self._threshold
        refusing = self._threshold < 1 and used >= threshold
        if refusing is not self._refusing:
            self._refusing = refusing
            self._on_change(refusing)
            if refusing:
                _log.warning(
                    "new connections are refused: %.0f%% of %d MiB are in use; websocket.memory_threshold is %g",
                    100 * used,
                    now.total >> 20,
                    self._threshold,
                )
            else:
                _log.info("there is memory for new connections again")
