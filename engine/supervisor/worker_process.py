"""One worker process as the supervisor sees it: started with its sockets, heard over its control socket.

Never waits for the process; the supervisor's loop looks at it again and again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import time
from typing import Any

from engine.control import (
    API_SOCKET,
    ControlError,
    Order,
    Phase,
    WorkerSpec,
    receive_beat,
    seal,
    send_order,
    send_spec,
    send_trace,
)
from engine.supervisor.adopted import AdoptedChild, Child
from engine.supervisor.fork_server_process import ForkServer
from engine.supervisor.sockets import Listening
from engine.trace.follow import Follow

_log = logging.getLogger(__name__)


START_TIMEOUT_S = 60.0


class WorkerProcess:
    """Made by `start`, or by `adopt` of one that an earlier program of this process has started.

    :param spec: number of the newest that it was sent.
    :param follows: whether it understands newer specs; one of an earlier program may not.
    :ivar slot: whose sockets it has. :ivar place: its own among the node's workers, old and new.
    :ivar spec: number of the spec that it says it follows; 0 before it has said anything.
    :ivar incarnation: the worker's name in the cluster, as last heard.
    :ivar ready: it has said that it serves. :ivar trouble: why it would rather not get new work.
    :ivar phase: the last one that it has come to the end of. :ivar connections: of its clients, as last heard.
    :ivar asked: another process than the supervisor asked it to end.
    """

    def __init__(
        self, process: Child, control: socket.socket, slot: int, place: int, spec: int, *, follows: bool = True
    ) -> None:
        self.control = control
        self.control.setblocking(False)
        self.slot = slot
        self.place = place
        self.started_at = self.heard_at = time.monotonic()
        self.ready = False
        self.incarnation = ""
        self.spec = 0
        self.phase: int = Phase.SERVING
        self.connections = 0
        self.trouble = ""
        self.asked = False
        #: What was last sent to it about the node.
        self.node = ""
        #: When it is to have ended, once it goes.
        self.ends_at = 0.0
        #: Orders that it has not been sent yet.
        self._orders: list[Order] = []
        self._sent = spec
        self._follows = follows
        self._process = process

    @classmethod
    def start(
        cls, forks: ForkServer, spec: WorkerSpec, number: int, slot: int, place: int, listening: list[Listening]
    ) -> WorkerProcess:
        """:param number: of the spec, by which the worker will name it. Raises OSError."""
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        spec_fd = seal(spec)
        try:
            listening_fds = [mine.sock.fileno() for mine in listening]
            arguments = [slot, place, number, spec_fd, theirs.fileno()]
            words = [f"{API_SOCKET if mine.api else ''}{mine.sock.fileno()}" for mine in listening]
            log_fds = spec.log.all if spec.log is not None else ()
            fds = [*arguments[3:], *listening_fds, *log_fds]
            process = forks.start("engine.worker.worker", "engine.worker", str(slot), [*arguments, *words], fds)
        except OSError:
            control.close()
            raise
        finally:
            os.close(spec_fd)
            theirs.close()
        return cls(process, control, slot, place, number)

    @classmethod
    def adopt(cls, given: dict[str, Any]) -> WorkerProcess:
        """:param given: by `give`."""
        control = socket.socket(fileno=given["control"])
        process = cls(AdoptedChild(given["pid"]), control, given["slot"], given["place"], given["spec"], follows=False)
        process.ready, process.incarnation, process.spec = True, given["incarnation"], given["spec"]
        return process

    def give(self) -> dict[str, Any]:
        """What the next program of this process needs to go on with it."""
        return {
            "slot": self.slot,
            "place": self.place,
            "pid": self.pid,
            "control": self.control.fileno(),
            "incarnation": self.incarnation,
            "spec": self.spec,
        }

    def excuse(self, seconds: float) -> None:
        """Nobody listened to it for so long."""
        self.heard_at = min(self.heard_at + seconds, time.monotonic())
        self.started_at += seconds
        self.ends_at += seconds

    @property
    def overdue(self) -> bool:
        """It should have served long ago."""
        return not self.ready and time.monotonic() - self.started_at > START_TIMEOUT_S

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        """None while it lives, else its status; negative is the signal that ended it."""
        return self._process.poll()

    def read(self) -> None:
        """Take in what it has said since."""
        try:
            while (beat := receive_beat(self.control)) is not None:
                self.heard_at = time.monotonic()
                self.ready, self.incarnation, self.spec = beat.ready, beat.incarnation, beat.spec
                self.phase, self.connections = beat.phase, beat.connections
                self.trouble, self.asked = beat.trouble, beat.asked
        except ControlError as error:
            _log.error("worker with pid %d: %s; killed", self.pid, error)
            self._signal(signal.SIGKILL)

    def send_spec(self, number: int, fd: int) -> None:
        """Send it a newer spec, unless it has been sent already; to be called again until it says that it follows."""
        if self._follows and self._sent < number and send_spec(self.control, number, fd):
            self._sent = number

    def order(self, order: Order) -> None:
        """Have it done, once it listens."""
        self._orders.append(order)
        self.resend()

    def follow(self, follow: Follow, fd: int) -> bool:
        """Have it tell a trace; whether it will. One of an earlier program may not know how."""
        return self.ready and self._follows and send_trace(self.control, follow, fd)

    def resend(self) -> None:
        """Send what it did not listen to before; to be called until it has ended."""
        while self._orders and send_order(self.control, self._orders[0]):
            del self._orders[0]

    def kill(self) -> None:
        """End it now and reap it."""
        if self._process.poll() is None:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def close(self) -> None:
        self.control.close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
