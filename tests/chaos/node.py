"""One node of the chaos run: a supervisor with its workers, which can be killed as a whole and started again.

Blocking; the run calls it from threads.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.chaos.plan import WORKERS
from tests.support.engine import Engine, is_ready, launch, prepare
from tests.support.waiting import wait_until

#: On a busy machine, while Valkey comes and goes.
START_TIMEOUT_S = 60.0
#: What no fault excuses.
NOISE = re.compile(r"Traceback \(most recent call last\)|Exception ignored|never awaited")
_LEADING = re.compile(r"worker (\d+) \S+: leading as (\w+)$", re.MULTILINE)


class Node:
    """`engine` is the process of the moment; ports, folder and log stay the same over `kill()` and `start()`."""

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        self.name = name
        self._folder, self._config = prepare(config)
        self.engine = Engine(launch(self._folder, WORKERS), self._folder, self._config)

    def start(self) -> None:
        """After `kill`."""
        self.engine = Engine(launch(self._folder, WORKERS), self._folder, self._config)

    def wait_ready(self) -> None:
        """Until every worker lives and the one that answers is ready."""
        wait_until(
            lambda: len(self.engine.workers()) == WORKERS and is_ready(self.engine),
            START_TIMEOUT_S,
            lambda: f"node {self.name} is ready\n{self.engine.log()[-4000:]}",
        )

    def kill(self) -> None:
        """All its processes at once, as when a machine loses its power."""
        # The supervisor first, or it would start new workers.
        for pid in (self.engine.process.pid, *self.engine.workers()):
            send(pid, signal.SIGKILL)
        self.engine.process.wait()
        wait_until(lambda: not self.engine.processes(), what=lambda: f"no process left of {self.engine.processes()}")

    def worker_called(self, incarnation: str) -> int | None:
        """Process id of the worker that leads, or led, under this name; None if there is none here."""
        slots = [slot for slot, name in _LEADING.findall(self.engine.log()) if name == incarnation]
        if not slots:
            return None
        running = self.engine.processes().items()
        return next((pid for pid, command in running if command == f"engine.worker {slots[-1]}"), None)

    def end(self) -> list[str]:
        """Stop it as its operator does. Returns what is wrong with how it ended, and with its log."""
        status = self.engine.terminate() if self.engine.process.poll() is None else self.engine.process.returncode
        faults = [f"node {self.name} ended with {status}"] if status else []
        noise = [line for line in self.engine.log().splitlines() if NOISE.search(line)]
        return faults + [f"log of node {self.name}: {line}" for line in noise]

    def keep_log(self, folder: Path) -> Path:
        """Copy its log there; returns the copy."""
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(self._folder / "log", folder / f"{self.name}.log"))

    def remove(self) -> None:
        """Leave nothing behind, whatever happened."""
        for pid in self.engine.processes():
            send(pid, signal.SIGKILL)
        self.engine.process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
