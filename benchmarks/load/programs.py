"""Compiles the benchmark's own C programs on first use: the load client, the floor, the webhook endpoint."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "bench"
FLAGS = ("-O2", "-Wall", "-Wextra")
#: Program -> its sources.
SOURCES = {
    "load": sorted((HERE / "client").glob("*.c")),
    "floor": [HERE / "floor.c"],
    "hooks": [HERE / "hooks.c"],
}
_HEADERS = sorted((HERE / "client").glob("*.h"))


def program(name: str) -> Path:
    """The compiled program; compiles it when it is missing or older than its sources. Raises CalledProcessError."""
    target = BUILD / name
    newest = max(path.stat().st_mtime for path in [*SOURCES[name], *_HEADERS])
    if not target.exists() or target.stat().st_mtime < newest:
        BUILD.mkdir(parents=True, exist_ok=True)
        # Under a name of its own first: others may be compiling or running it.
        fresh = target.with_suffix(f".{os.getpid()}")
        subprocess.run([*compiler(), *FLAGS, "-o", str(fresh), *map(str, SOURCES[name])], check=True)
        fresh.replace(target)
    return target


def compiler() -> list[str]:
    return shlex.split(os.environ.get("CC", "cc"))
