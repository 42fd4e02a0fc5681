"""One worker process as the supervisor sees it: started with its sockets, heard over its control socket."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time

from engine.spec import WorkerSpec

#: Longest control message; a message is one datagram of a SOCK_SEQPACKET pair.
MAX_MESSAGE_BYTES = 4096


class WorkerProcess:
    """Starts on construction.

    :ivar incarnation: the worker's name in the cluster, as last heard.
    :ivar ready: it has said that it serves.
    """

    def __init__(self, spec: WorkerSpec, slot: int, listening: list[socket.socket]) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.setblocking(False)
        self.started_at = self.heard_at = time.monotonic()
        self.ready = False
        self.incarnation = ""
        spec_fd = os.memfd_create("engine-spec", 0)
        try:
            with open(spec_fd, "wb", closefd=False) as file:
                pickle.dump(spec, file)
            os.lseek(spec_fd, 0, os.SEEK_SET)
            listening_fds = [sock.fileno() for sock in listening]
            command = [sys.executable, "-m", "engine.worker", str(slot), str(spec_fd), str(theirs.fileno())]
            self._process = subprocess.Popen(
                [*command, *map(str, listening_fds)],
                stdin=subprocess.DEVNULL,
                pass_fds=[spec_fd, theirs.fileno(), *listening_fds],
                # Not in our process group: Ctrl-C reaches the supervisor, which drains.
                start_new_session=True,
            )
        finally:
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
        while True:
            try:
                message = self.control.recv(MAX_MESSAGE_BYTES)
            except (BlockingIOError, ConnectionResetError):
                return
            if not message:
                return
            said = json.loads(message)
            self.heard_at = time.monotonic()
            self.ready = said["ready"]
            self.incarnation = said["incarnation"]

    def terminate(self) -> None:
        """Ask it to drain."""
        self._signal(signal.SIGTERM)

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
