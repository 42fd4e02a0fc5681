"""The workers of a node: one for each slot, started, heard, restarted after a death, which is reported to the cluster.

It never decides that the node stops, nor when a worker is replaced.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from engine.control import EXIT_NO_APPS, MAX_STATES, NodeState, Order, Phase, WorkerState
from engine.errors import CloseCode, EngineError
from engine.metrics.metrics import Metrics
from engine.supervisor.fork_server_process import ForkServer
from engine.supervisor.respawn import Respawn
from engine.supervisor.rollout import ConfigRollout
from engine.supervisor.sockets import Listening
from engine.supervisor.worker_process import WorkerProcess

if TYPE_CHECKING:
    from engine.occupancy.declare_dead import DeadWorkers

#: A worker that was ready and then says nothing for so long counts as stuck (it speaks once a second) ...
SILENT_S = 2.5
#: ... and after so long it is killed; clients reconnect to another.
STUCK_S = 10.0
#: Between two looks no more time than this counts against a worker: a supervisor that was stopped, with its workers or
#: without them, has not listened.
MAX_STEP_S = 1.0
#: So long a slot's port stays open without a worker that serves: what waits in it is served by the next one.
PATIENCE_S = 3.0
#: A worker that is starting on a busy machine gets longer, for its listening and our closing must not meet.
STARTING_PATIENCE_S = 20.0
#: Characters of one reason in a state.
MAX_TROUBLE = 200
RESPAWN_MIN_S, RESPAWN_MAX_S = 0.1, 10.0
#: A worker that has lived so long has not failed at start; the next respawn is at once again.
STEADY_S = 10.0

_log = logging.getLogger(__name__)


class Slot:
    """One share of the port: its listening sockets outlive the processes that serve them."""

    def __init__(self, number: int, listening: list[Listening]) -> None:
        self.number = number
        self.listening = listening
        self.process: WorkerProcess | None = None
        self.newcomer: WorkerProcess | None = None
        self.respawn = Respawn(RESPAWN_MIN_S, RESPAWN_MAX_S, STEADY_S)
        self.served_at = time.monotonic()
        #: Whether its sockets are in the port.
        self.open = True


class Crew:
    """:param listening: sockets of each slot.
    :param pace_per_second: at which a worker's clients are sent to its successor.
    :param forget: drops the gauges of a place whose worker has ended.
    :ivar leaving: workers that have a successor.
    """

    def __init__(
        self,
        listening: list[list[Listening]],
        forks: ForkServer,
        rollout: ConfigRollout,
        selector: selectors.BaseSelector,
        metrics: Metrics,
        dead_workers: DeadWorkers | None,
        forget: Callable[[int], None],
    ) -> None:
        self.slots = [Slot(number, mine) for number, mine in enumerate(listening)]
        self.leaving: list[WorkerProcess] = []
        self._forks = forks
        self._rollout = rollout
        self._selector = selector
        self._metrics = metrics.supervisor
        self._dead_workers = dead_workers
        self._forget = forget
        #: One more than slots, for a worker's successor.
        self._free = set(range(len(listening) + 1))
        #: Every slot has had a worker that served.
        self.complete = False
        self._looked_at = time.monotonic()

    @property
    def processes(self) -> list[WorkerProcess]:
        """All, those that come and those that go among them."""
        of_slots = [process for slot in self.slots for process in (slot.process, slot.newcomer)]
        return [process for process in of_slots if process is not None] + self.leaving

    @property
    def sockets(self) -> Iterator[Listening]:
        for slot in self.slots:
            yield from slot.listening

    def trouble(self) -> str:
        """Why the node is not ready; "" when it is."""
        now = time.monotonic()
        serving = [slot.process for slot in self.slots if slot.process is not None and slot.process.ready]
        if not serving:
            return "no worker serves"
        reasons = [f"worker {process.slot} does not answer" for process in serving if now - process.heard_at > SILENT_S]
        # Most troubles are all workers' at once.
        reasons += [reason for process in serving for reason in process.trouble.split("; ") if reason]
        return "; ".join(dict.fromkeys(reasons))

    def summary(self) -> str:
        """For people: who is served, by how many."""
        clients = sum(process.connections for process in self.processes)
        return f"serving {clients} clients with {len(self.slots)} workers"

    def state(self) -> NodeState:
        """For the console; of a very large node not all."""
        now = time.monotonic()
        workers = tuple(
            WorkerState(
                slot=process.slot,
                place=process.place,
                pid=process.pid,
                incarnation=process.incarnation,
                ready=process.ready,
                phase=int(process.phase),
                connections=process.connections,
                trouble=process.trouble[:MAX_TROUBLE],
                silent_s=round(now - process.heard_at, 1),
                lived_s=round(now - process.started_at, 1),
            )
            for process in self.processes[:MAX_STATES]
        )
        return NodeState(self.trouble()[:MAX_TROUBLE], len(self.slots), workers)

    def report_trouble(self, trouble: str) -> None:
        """Have the workers say on their port what is the matter with the node."""
        for process in self.processes:
            if process.ready and process.node != trouble:
                process.node = trouble
                process.order(Order(node=trouble))

    def order(self, order: Order) -> None:
        """To every worker, now or as soon as it listens."""
        for process in self.processes:
            process.order(order)

    def shed(self, percent: int, pace_per_second: float) -> int:
        """Send so many of each worker's clients elsewhere, at the pace for all of them; how many that is."""
        total = 0
        for process in self.processes:
            number = round(process.connections * percent / 100)
            if number and process not in self.leaving:
                process.order(Order(shed=number, pace_per_second=pace_per_second / len(self.slots)))
                total += number
        return total

    def adopt(self, process: WorkerProcess) -> None:
        """Go on with one of an earlier program."""
        self.slots[process.slot].process = process
        self._watch(process)
        self.complete = all(slot.process is not None for slot in self.slots)

    @property
    def can_begin(self) -> bool:
        """Whether `begin` need not wait any more for what starts workers."""
        return not self._forks.starting

    def begin(self, slot: Slot) -> WorkerProcess:
        """Start a successor of the slot's worker, which goes on. Raises OSError when no process can be started."""
        slot.newcomer = self._start(slot)
        return slot.newcomer

    def take_over(self, slot: Slot, newcomer: WorkerProcess, grace_s: float, pace_per_second: float) -> None:
        """The newcomer serves: what was there sends its clients to it and ends."""
        old, slot.process, slot.newcomer = slot.process, newcomer, None
        if old is not None and old is not newcomer:
            self.leaving.append(old)
            ends_at = time.monotonic() + grace_s
            old.order(Order(Phase.GONE, ends_at, CloseCode.RECONNECT, pace_per_second))
            old.ends_at = ends_at

    def look_after(self) -> None:
        """Start what is missing, reap what has ended, kill what is stuck."""
        now = time.monotonic()
        self._forks.look_after()
        unseen_s = max(now - self._looked_at - MAX_STEP_S, 0.0)
        self._looked_at = now
        for process in self.processes:
            process.excuse(unseen_s)
        for process in list(self.leaving):
            process.resend()
            status = process.poll()
            if status is not None:
                self.reap(process, status)
            elif now > process.ends_at + STUCK_S:
                _log.warning("the former worker %d (pid %d) did not end in time; killed", process.slot, process.pid)
                process.kill()
        for slot in self.slots:
            self._look_after(slot, now)
        self._rollout.hand_out([slot.process for slot in self.slots])
        self.complete |= all(slot.process is not None and slot.process.ready for slot in self.slots)

    def reap(self, process: WorkerProcess, status: int) -> None:
        """Report the death to the cluster: the leader gives up what it held now, not after a time-out."""
        process.read()
        self._selector.unregister(process.control)
        process.close()
        self._free.add(process.place)
        slot = self.slots[process.slot]
        if slot.process is process:
            slot.process, slot.newcomer = slot.newcomer, None
        elif slot.newcomer is process:
            slot.newcomer = None
        elif process in self.leaving:
            self.leaving.remove(process)
        if self._dead_workers is not None and process.incarnation and status != 0:
            self._dead_workers.declare(process.incarnation)
        self._forget(process.place)

    def kill(self) -> None:
        for process in self.processes:
            process.kill()

    def _start(self, slot: Slot) -> WorkerProcess:
        """Raises OSError when there is no memory, or no process left."""
        place = min(self._free)
        process = WorkerProcess.start(
            self._forks, self._rollout.newest, self._rollout.number, slot.number, place, slot.listening
        )
        self._watch(process)
        return process

    def _watch(self, process: WorkerProcess) -> None:
        self._free.discard(process.place)
        self._selector.register(process.control, selectors.EVENT_READ, process.read)

    def _look_after(self, slot: Slot, now: float) -> None:
        process = slot.process
        if process is not None and process.ready:
            if not slot.open and not _in_port(slot):
                # It listened just before its share was closed, and would never accept anybody.
                _log.warning("worker %d listened in a share of the port that was closed; starting another", slot.number)
                process.kill()
            slot.served_at, slot.open = now, True
        elif slot.open and now - slot.served_at > (PATIENCE_S if process is None else STARTING_PATIENCE_S):
            self._leave_port(slot)
        if process is None:
            if slot.respawn.due(now) and not self._forks.starting:
                self._fill(slot, now)
            return
        process.resend()
        status = process.poll()
        if status is None:
            silent_s = now - process.heard_at
            if process.overdue or (process.ready and silent_s > STUCK_S):
                _log.error("worker %d (pid %d) is stuck for %.0f s; killed", slot.number, process.pid, silent_s)
                process.kill()
            return
        self.reap(process, status)
        if not process.ready:
            self._leave_port(slot)
        if status == EXIT_NO_APPS and not self.complete:
            raise EngineError("the applications could not be read; see above")
        self._metrics.restarts.add(1)
        slot.respawn.ended(now, now - process.started_at)
        _log.warning(
            "worker %d (pid %d) %s; starting another in %.1f s",
            slot.number,
            process.pid,
            how(status),
            slot.respawn.delay_s,
        )

    def _fill(self, slot: Slot, now: float) -> None:
        try:
            slot.process = self._start(slot)
        except OSError as error:
            # The other workers serve; while nothing can be started theirs is the whole port.
            slot.respawn.failed(now)
            _log.error("worker %d cannot be started: %s; again in %.1f s", slot.number, error, slot.respawn.delay_s)
            self._leave_port(slot)

    def _leave_port(self, slot: Slot) -> None:
        """Connections must not go to where nobody answers. Its next worker listens again on the same sockets."""
        serving = any(other.process is not None and other.process.ready for other in self.slots)
        if not slot.open:
            return
        own = [mine.sock for mine in slot.listening if not (mine.shared and serving)]
        if not own:
            return
        slot.open = False
        for sock in own:
            if sock.family in (socket.AF_INET, socket.AF_INET6):
                # For every process that has it; closing it here would leave it open in a worker that is starting.
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RD)
        level = logging.WARNING if self.complete else logging.INFO
        _log.log(level, "worker %d does not serve; its share of the port is closed until it does", slot.number)


def _in_port(slot: Slot) -> bool:
    return all(mine.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for mine in slot.listening)


def how(status: int) -> str:
    """In words, how a process ended."""
    if status >= 0:
        return f"ended with status {status}"
    return f"was ended by {signal.Signals(-status).name}"
