"""What the driver needs to know of a server: how to start it, which version it is, and why it cannot run here."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load.cores import pinned

APP_ID, KEY, SECRET = "app-id", "app-key", "app-secret"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Need:
    """What a scenario asks of a server beyond plain channels.

    :ivar webhook_url: where client events are to be reported, or "".
    """

    webhook_url: str = ""


@dataclass(frozen=True)
class Launch:
    """:ivar publish_port: of the HTTP API, where that is not the WebSocket's."""

    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    publish_port: int = 0


@dataclass(frozen=True)
class Started:
    pid: int
    port: int
    publish_port: int


class Server(ABC):
    """:ivar name: as it is given on the command line. :ivar title: as it stands on the page."""

    name: str
    title: str
    #: Not every server ends on SIGTERM in a time that a benchmark can wait for.
    stop_signal = signal.SIGTERM

    @abstractmethod
    def version(self) -> str:
        """For the result file. Called only when `missing` says nothing."""

    def missing(self) -> str:
        """Why it cannot run on this machine; "" when it can."""
        return ""

    @abstractmethod
    def launch(self, port: int, folder: Path, need: Need) -> Launch:
        """How to start it; `folder` is its own and its working directory."""

    @contextmanager
    def running(self, cores: set[int], need: Need) -> Iterator[Started]:
        """Start it on these cores and stop it at the end. Raises RuntimeError when it does not come up."""
        port = free_port()
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, open(f"{folder}/log", "w+b") as log:
            launch = self.launch(port, Path(folder), need)
            with pinned(cores):
                process = subprocess.Popen(
                    launch.command,
                    cwd=folder,
                    env={**os.environ, **launch.env},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            try:
                publish_port = launch.publish_port or port
                for each in {port, publish_port}:
                    self._wait_for(each, process, Path(log.name))
                yield Started(process.pid, port, publish_port)
            finally:
                _stop(process, self.stop_signal)

    def is_up(self, port: int) -> bool:
        """Whether it answers on that port."""
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    def _wait_for(self, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while process.poll() is None and time.monotonic() < deadline:
            if self.is_up(port):
                return
            time.sleep(0.05)
        said = log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"the server is not up on port {port}; it says:\n{said}")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _stop(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
