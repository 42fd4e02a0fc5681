"""SIGHUP from a terminal that was closed ends the engine; any other reads the configuration again."""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import prepare
from tests.support.waiting import wait_until

PATIENCE_S = 60.0


class InTerminal:
    """An engine in the foreground of a terminal of its own, as a shell has it.

    :param ignored: with SIGHUP ignored, as nohup does it.
    """

    def __init__(self, ignored: bool) -> None:
        self.folder, _ = prepare()
        self.log = self.folder / "log"
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            try:
                signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
                with self.log.open("ab") as log:
                    os.dup2(log.fileno(), 1)
                    os.dup2(log.fileno(), 2)
                os.environ |= {"TMPDIR": str(self.folder / "tmp"), "PYTHONPATH": str(Path(__file__).parents[2])}
                os.chdir(self.folder)
                os.execv(sys.executable, [sys.executable, "-m", "engine", "--config", str(self.folder / "config.json")])
            finally:
                os._exit(127)

    def read(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def close(self) -> None:
        os.close(self.terminal)
        self.terminal = -1

    def ended(self) -> int | None:
        """Its exit status, once it has one."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return None if pid == 0 else os.waitstatus_to_exitcode(status)

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if self.terminal >= 0:
            self.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def started(request: pytest.FixtureRequest) -> Iterator[InTerminal]:
    found = InTerminal(getattr(request, "param", False))
    try:
        wait_until(lambda: "engine listens" in found.read(), PATIENCE_S, found.read)
        yield found
    finally:
        found.stop()


def test_a_terminal_that_is_closed_ends_it(started: InTerminal) -> None:
    os.kill(started.pid, signal.SIGHUP)
    wait_until(lambda: "every worker follows it" in started.read(), PATIENCE_S, started.read)
    assert started.ended() is None, "the terminal is open, so somebody wants a reload"
    started.close()
    status: list[int | None] = [None]

    def ended() -> bool:
        status[0] = started.ended()
        return status[0] is not None

    wait_until(ended, PATIENCE_S, started.read)
    assert status == [0]
    assert "stopping" in started.read()


@pytest.mark.parametrize("started", [True], indirect=True)
def test_under_nohup_it_outlives_its_terminal(started: InTerminal) -> None:
    started.close()
    os.kill(started.pid, signal.SIGHUP)
    wait_until(lambda: "every worker follows it" in started.read(), PATIENCE_S, started.read)
    assert started.ended() is None
