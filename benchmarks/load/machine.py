"""Where and with what a result was measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

from benchmarks.load.programs import FLAGS, ROOT, compiler

_PACKAGES = ("picows", "uvloop", "aiohttp", "hiredis", "orjson", "websockets", "Cython")


def machine() -> dict[str, str]:
    """Hardware and kernel, without names of host or user."""
    memory_kib = next(
        (int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal:")),
        0,
    )
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    return {
        "cpu": cpu,
        "cores": str(os.cpu_count()),
        "memory_gib": f"{memory_kib / 1024 / 1024:.1f}",
        "kernel": platform.release(),
        "virtual": "yes" if any("hypervisor" in line for line in _lines("/proc/cpuinfo")) else "no",
    }


def versions() -> dict[str, str]:
    found = {"Python": platform.python_version(), "C compiler": _said([*compiler(), "--version"]).split("\n")[0]}
    found["C flags"] = " ".join(FLAGS)
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> dict[str, str | bool]:
    """The commit that was measured, and whether the tree held anything else."""
    changed = _said(["git", "status", "--porcelain", "--untracked-files=no"])
    return {"commit": _said(["git", "rev-parse", "HEAD"]) or "unknown", "dirty": bool(changed)}


def load_average() -> float:
    """Of the last minute: a machine that is busy otherwise measures nothing."""
    return os.getloadavg()[0]


def command_line() -> str:
    """What was typed, but for where the result went (``--output=FILE``)."""
    arguments = " ".join(argument for argument in sys.argv[1:] if not argument.startswith("--output"))
    return f"python -m benchmarks.load {arguments}".strip()


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _said(command: list[str]) -> str:
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
