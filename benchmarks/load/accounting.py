"""What the kernel charges to a process and everything it started: CPU time and memory. Reads /proc only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """:ivar cpu_s: user and system time, also of children that have ended.
    :ivar waited_s: for a core, while ready to run: what others on the same core took from it.
    :ivar pss_kib: proportional set size.
    """

    cpu_s: float
    waited_s: float
    pss_kib: int


def usage(pid: int, *, memory: bool = False) -> Usage:
    """Of the process and its living descendants. Memory is read only when asked for: that takes the kernel long."""
    cpu_s, waited_s, pss_kib = 0.0, 0.0, 0
    for each in _tree(pid):
        fields = _stat(each)
        if fields is None:
            continue
        # Its own, user and system, and that of children which it has waited for.
        cpu_s += sum(map(int, fields[11:15])) * _TICK_S
        waited_s += _waited_s(each)
        if memory:
            pss_kib += _pss_kib(each)
    return Usage(cpu_s, waited_s, pss_kib)


def _tree(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        fields = _stat(int(entry)) if entry.isdigit() else None
        if fields is not None:
            children.setdefault(int(fields[1]), []).append(int(entry))
    found, waiting = [], [pid]
    while waiting:
        each = waiting.pop()
        found.append(each)
        waiting += children.get(each, [])
    return found


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/pid/stat behind the name, which may hold anything; None when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _waited_s(pid: int) -> float:
    """Second field of each thread's schedstat, in nanoseconds; 0 where the kernel does not keep it."""
    found = 0.0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            found += int(path.read_text().split()[1]) / 1e9
        except (OSError, IndexError):
            continue
    return found


def _pss_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
