"""Replaces the workers of a node one after the other: each has a successor on its own listening sockets before it goes.

Stepped by the supervisor's loop. One at a time, so that memory does not double.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from engine.supervisor.crew import Crew, Slot, how
from engine.supervisor.worker_process import WorkerProcess

_log = logging.getLogger(__name__)


class Rolling:
    """:param grace_s: for a worker to go, its clients sent away at the pace. :param say: gets a line for each step.
    :ivar failure: None while it goes on, "" when all workers are new, else why it has ended.
    """

    def __init__(
        self, crew: Crew, slots: list[Slot], grace_s: float, pace_per_second: float, say: Callable[[str], None]
    ) -> None:
        self._crew = crew
        self._waiting = list(slots)
        self._grace_s = grace_s
        self._pace = pace_per_second
        self._say = say
        self._slot: Slot | None = None
        self._newcomer: WorkerProcess | None = None
        self.failure: str | None = None

    def step(self) -> None:
        """Do what can be done now."""
        if self.failure is not None or self._crew.leaving:
            return
        if self._slot is None or self._newcomer is None:
            if self._crew.can_begin:
                self._next()
            return
        slot, newcomer = self._slot, self._newcomer
        if slot.process is newcomer:
            # Its predecessor died meanwhile.
            self._slot = self._newcomer = None
            return
        status = newcomer.poll()
        if status is not None:
            self._crew.reap(newcomer, status)
            reason = f": {newcomer.trouble}" if newcomer.trouble else "; the log says why"
            self._fail(f"the new worker {slot.number} {how(status)}{reason}")
        elif newcomer.overdue:
            newcomer.kill()
            self._crew.reap(newcomer, -9)
            self._fail(f"the new worker {slot.number} did not come up in time")
        elif newcomer.ready:
            self._say(f"worker {slot.number} serves as pid {newcomer.pid}")
            self._crew.take_over(slot, newcomer, self._grace_s, self._pace)
            self._slot = self._newcomer = None

    def _next(self) -> None:
        if not self._waiting:
            self.failure = ""
            return
        slot = self._slot = self._waiting.pop(0)
        if slot.process is None or not slot.process.ready:
            # It has no worker that could go; one that starts now is a new one.
            self._slot = None
            return
        try:
            self._newcomer = self._crew.begin(slot)
        except OSError as error:
            self._fail(f"the new worker {slot.number} cannot be started: {error}")

    def _fail(self, why: str) -> None:
        _log.error("%s; the workers that serve go on", why)
        self.failure = why
