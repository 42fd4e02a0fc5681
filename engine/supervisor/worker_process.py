"""One worker process as the supervisor sees it: started with its sockets, heard over its control socket."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time

from engine.control import ControlError, Order, Phase, WorkerSpec, receive_beat, seal, send_order, send_spec

_log = logging.getLogger(__name__)


class WorkerProcess:
    """Starts on construction.

    :param number: of the spec, by which the worker will name it.
    :ivar spec: number of the spec that it says it follows; 0 before it has said anything.
    :ivar incarnation: the worker's name in the cluster, as last heard.
    :ivar ready: it has said that it serves. :ivar trouble: why it would rather not get new work.
    :ivar phase: the last one that it has come to the end of. :ivar connections: of its clients, as last heard.
    :ivar asked: somebody else asked it to end.
    """

    def __init__(self, spec: WorkerSpec, number: int, slot: int, listening: list[socket.socket]) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.setblocking(False)
        self.started_at = self.heard_at = time.monotonic()
        self.ready = False
        self.incarnation = ""
        self.spec = 0
        self.phase: int = Phase.SERVING
        self.connections = 0
        self.trouble = ""
        self.asked = False
        #: Orders that it has not been sent yet.
        self._orders: list[Order] = []
        self._sent = number
        spec_fd = seal(spec)
        # The child inherits this: a SIGHUP for all processes of a service must not end one that is still starting.
        signals = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
        try:
            listening_fds = [sock.fileno() for sock in listening]
            arguments = [slot, number, spec_fd, theirs.fileno(), *listening_fds]
            log_fds = spec.log.all if spec.log is not None else ()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "engine.worker", *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                pass_fds=[*arguments[2:], *log_fds],
                # Not in our process group: Ctrl-C reaches the supervisor, which drains.
                start_new_session=True,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, signals)
            os.close(spec_fd)
            theirs.close()

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

    def follow(self, number: int, fd: int) -> None:
        """Send it a newer spec, unless it has been sent already; to be called again until it says that it follows."""
        if self._sent < number and send_spec(self.control, number, fd):
            self._sent = number

    def order(self, order: Order) -> None:
        """Have it done, once it listens."""
        self._orders.append(order)
        self.resend()

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
