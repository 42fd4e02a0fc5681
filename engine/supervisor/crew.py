"""The workers of a node: one for each slot, started, heard, restarted after a death, told of to the cluster.

Owned by the supervisor, whose loop calls it. It never decides that the node stops.
"""

from __future__ import annotations

import logging
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator

from engine.control import EXIT_NO_APPS, Order
from engine.errors import EngineError
from engine.metrics.metrics import Metrics
from engine.occupancy.declare_dead import DeadWorkers
from engine.supervisor.rollout import ConfigRollout
from engine.supervisor.worker_process import WorkerProcess

#: A worker that was ready and then says nothing for so long is stuck, and killed; clients reconnect to another.
STUCK_S = 10.0
START_TIMEOUT_S = 60.0
RESPAWN_MIN_S, RESPAWN_MAX_S = 0.1, 10.0
#: A worker that has lived so long has not failed at start; the next respawn is at once again.
STEADY_S = 10.0

_log = logging.getLogger(__name__)


class Slot:
    """One place for a worker: its listening sockets outlive the processes that serve them."""

    def __init__(self, number: int, listening: list[socket.socket]) -> None:
        self.number = number
        self.listening = listening
        self.process: WorkerProcess | None = None
        self.respawn_at = 0.0
        self.delay_s = RESPAWN_MIN_S


class Crew:
    """:param forget: drops the gauges of a place whose worker has ended."""

    def __init__(
        self,
        listening: list[list[socket.socket]],
        rollout: ConfigRollout,
        selector: selectors.BaseSelector,
        metrics: Metrics,
        dead_workers: DeadWorkers | None,
        forget: Callable[[int], None],
    ) -> None:
        self.slots = [Slot(number, mine) for number, mine in enumerate(listening)]
        self._rollout = rollout
        self._selector = selector
        self._metrics = metrics.supervisor
        self._dead_workers = dead_workers
        self._forget = forget
        #: Every slot has had a worker that served.
        self.complete = False

    @property
    def processes(self) -> list[WorkerProcess]:
        return [slot.process for slot in self.slots if slot.process is not None]

    @property
    def sockets(self) -> Iterator[socket.socket]:
        for slot in self.slots:
            yield from slot.listening

    def order(self, order: Order) -> None:
        """To every worker, now or as soon as it listens."""
        for process in self.processes:
            process.order(order)

    def look_after(self) -> None:
        """Start what is missing, reap what has ended, kill what is stuck."""
        now = time.monotonic()
        for slot in self.slots:
            self._look_after(slot, now)
        self._rollout.hand_out([slot.process for slot in self.slots])
        self.complete |= all(slot.process is not None and slot.process.ready for slot in self.slots)

    def reap(self, slot: Slot, process: WorkerProcess, status: int) -> None:
        """Tell the cluster at once that it died: what it held is given up by the leader now, not after a time-out."""
        process.read()
        self._selector.unregister(process.control)
        process.close()
        slot.process = None
        if self._dead_workers is not None and process.incarnation and status != 0:
            self._dead_workers.declare(process.incarnation)
        self._forget(slot.number)

    def kill(self) -> None:
        for process in self.processes:
            process.kill()

    def _look_after(self, slot: Slot, now: float) -> None:
        process = slot.process
        if process is None:
            if now >= slot.respawn_at:
                slot.process = process = WorkerProcess(
                    self._rollout.newest, self._rollout.number, slot.number, slot.listening
                )
                self._selector.register(process.control, selectors.EVENT_READ, process)
            return
        process.resend()
        status = process.poll()
        if status is None:
            silent_s = now - process.heard_at
            if silent_s > (STUCK_S if process.ready else START_TIMEOUT_S):
                _log.error("worker %d (pid %d) is stuck for %.0f s; killed", slot.number, process.pid, silent_s)
                process.kill()
            return
        self.reap(slot, process, status)
        if status == EXIT_NO_APPS and not self.complete:
            raise EngineError("the applications could not be read; see above")
        self._metrics.restarts.add(1)
        lived_s = now - process.started_at
        slot.delay_s = RESPAWN_MIN_S if lived_s > STEADY_S else min(slot.delay_s * 2, RESPAWN_MAX_S)
        slot.respawn_at = now + slot.delay_s
        _log.warning(
            "worker %d (pid %d) %s; starting another in %.1f s", slot.number, process.pid, how(status), slot.delay_s
        )


def how(status: int) -> str:
    """In words, how a process ended."""
    if status >= 0:
        return f"ended with status {status}"
    return f"was ended by {signal.Signals(-status).name}"
