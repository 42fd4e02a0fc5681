"""Runs the compiled load client and reads what it tells, line by line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from benchmarks.load.cores import pinned
from benchmarks.load.programs import program


class ClientFailed(Exception):
    """The load client ended before it had its figures; it has said why on stderr."""


class Client:
    """A started load client. `pid` is its parent process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def wait_for(self, event: str) -> dict[str, Any]:
        """Read lines until this event. Raises ClientFailed when there is none."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told: dict[str, Any] = json.loads(line)
            if told["event"] == event:
                return told
        raise ClientFailed(f"the load client ended before it was {event}")

    def go(self) -> None:
        """Begin to load."""
        self._say("go")

    def count(self) -> int:
        """Frames that have arrived so far, in all."""
        self._say("count")
        return int(self.wait_for("count")["deliveries"])

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()


@contextmanager
def connected(cores: set[int] | None, options: Mapping[str, Any]) -> Iterator[Client]:
    """Start it on these cores (None: on any) with ``--name value`` for each option; it is gone at the end."""
    command = [str(program("load"))]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    with pinned(cores):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Client(process)
    finally:
        process.kill()  # its workers end with it
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
