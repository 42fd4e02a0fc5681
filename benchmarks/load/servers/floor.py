"""The floor: a C program that checks nothing and only writes, as the limit that the kernel sets."""

from __future__ import annotations

from pathlib import Path

from benchmarks.load.programs import program
from benchmarks.load.servers.base import Launch, Need, Server


class Floor(Server):
    name = "floor"
    title = "floor (C, checks nothing)"

    def version(self) -> str:
        return "benchmarks/load/floor.c"

    def launch(self, port: int, folder: Path, need: Need) -> Launch:
        return Launch([str(program("floor")), str(port)])
