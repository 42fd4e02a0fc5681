"""The node goes: all its workers pass each phase together, so that nobody is sent away before there is a place to go.

Sends phases to the workers and waits for their answers; it closes no client's connection itself. `control.Phase` says
what each phase is for a worker; docs/operations.md what an operator sees of it.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable

from engine.config.root import Config
from engine.control import Order, Phase
from engine.errors import CloseCode
from engine.supervisor.closing import HANDSHAKE_S, refuse_silently, waiting
from engine.supervisor.crew import Crew, how

#: While another node lives: what a balancer needs that asks every 2 s and believes the second refusal.
DELAY_S = 5.0
#: No more of the grace period than this part is spent on balancers.
DELAY_SHARE = 0.5
#: For the workers to come to the end of a phase.
PHASE_TIMEOUT_S = 4.0
#: Beyond the grace period; then what is left is killed.
EXTRA_S = 5.0

_log = logging.getLogger(__name__)


class NodeDeparture:
    """:param began: when the node was asked to stop, by CLOCK_MONOTONIC; the grace period runs from then.
    :param others: whether another node of the cluster lives, where clients can go.
    :param wait: lets workers be heard for a moment. :param impatient: whether all is to end at once.
    :param on_closing: called when nobody is to find the sockets any more.
    """

    def __init__(
        self,
        crew: Crew,
        config: Config,
        *,
        began: float,
        others: bool,
        wait: Callable[[], None],
        impatient: Callable[[], bool],
        on_closing: Callable[[], None],
    ) -> None:
        self._crew = crew
        self._others = others
        self._wait = wait
        self._impatient = impatient
        self._on_closing = on_closing
        self._began = began
        self._grace_s = config.shutdown_grace_period
        self._ends_at = began + self._grace_s
        self._code = CloseCode.RECONNECT if others else CloseCode.OVER_CAPACITY
        self._pace = config.shutdown.pace_per_second
        delay_ms = config.shutdown.delay_ms
        chosen_s = (DELAY_S if others else 0.0) if delay_ms is None else delay_ms / 1000
        self.delay_s = min(chosen_s, self._grace_s * DELAY_SHARE)

    def run(self) -> int:
        """The exit status."""
        clients = sum(process.connections for process in self._crew.processes)
        where = "another node" if self._others else "nobody, so they are asked to come back in a second"
        _log.info(
            "stopping within %.0f s; newcomers are served for %.1f s more; some %d clients are sent to %s",
            self._grace_s,
            self.delay_s,
            clients,
            where,
        )
        for process in self._crew.processes:
            if not process.ready:
                # It has nothing yet, and does not listen to orders; no phase may wait for it.
                process.kill()
                self._crew.reap(process, process.poll() or 0)
        self._leave()
        self._close()
        return self._go()

    def _leave(self) -> None:
        self._crew.order(Order(Phase.LEAVING))
        self._until(lambda: time.monotonic() - self._began >= self.delay_s, self._grace_s)

    def _close(self) -> None:
        """Refuse newcomers silently, have those accepted that wait, then close the sockets in the workers and here."""
        sockets = list(self._crew.sockets)
        self._on_closing()
        ours = [mine.sock for mine in sockets if not mine.kept]
        if ours:
            for sock in ours:
                refuse_silently(sock)
            quiet_at = time.monotonic() + HANDSHAKE_S
            self._until(lambda: time.monotonic() >= quiet_at and not any(map(waiting, ours)), PHASE_TIMEOUT_S)
        self._crew.order(Order(Phase.CLOSED, self._ends_at, self._code))
        self._until(lambda: all(process.phase >= Phase.CLOSED for process in self._crew.processes), PHASE_TIMEOUT_S)
        for mine in sockets:
            mine.sock.close()

    def _go(self) -> int:
        # With nobody to go to they come back a second later: all together, so that none of them comes back too early.
        pace = self._pace / len(self._crew.slots) if self._others else 0.0
        self._crew.order(Order(Phase.GONE, self._ends_at, self._code, pace))
        status = 0
        while living := self._crew.processes:
            late = self._impatient() or time.monotonic() > self._ends_at + EXTRA_S
            for process in living:
                process.resend()
                ended = process.poll()
                if ended is not None:
                    self._crew.reap(process, ended)
                    if ended not in (0, -signal.SIGTERM) and process.ready:
                        _log.warning("worker %d %s", process.slot, how(ended))
                        status = 1
                elif late:
                    _log.warning("worker %d did not end in time; killed", process.slot)
                    process.kill()
            self._wait()
        return status

    def _until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        """Wait for a condition, a time-out, an impatient operator, or the end of every worker."""
        end = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < end and not self._impatient():
            living = False
            for process in self._crew.processes:
                process.resend()
                living |= process.poll() is None
            if not living:
                return
            self._wait()
