"""The webhook endpoint of the webhooks scenario: a C program of ours that counts what it gets."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from benchmarks.load.cores import pinned
from benchmarks.load.programs import program
from benchmarks.load.servers.base import free_port


class Counted(NamedTuple):
    requests: int
    events: int


class Endpoint:
    """A running endpoint."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{port}/"

    def counted(self) -> Counted:
        """What it has got so far."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        return Counted(told["requests"], told["events"])


@contextmanager
def endpoint(cores: set[int]) -> Iterator[Endpoint]:
    port = free_port()
    command = [str(program("hooks")), str(port)]
    with pinned(cores):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Endpoint(process, port)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
