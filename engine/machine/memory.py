"""How much memory is in use: the machine's, or that of the container whose limit is nearest to being reached.

Only reads; for /usage, /accept-traffic and the guard of new connections.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from engine.machine import cgroup

_MEMINFO = Path("/proc/meminfo")
#: From so many bytes on a limit is none: version 1 says "no limit" with a number near 2 to the 63.
_NO_LIMIT = 1 << 60
#: Looks of a `Gauge` after which it asks again which groups there are: half a minute of a worker's.
LOOKS = 30

_SIZES = re.compile(rb"^(MemTotal|MemFree|MemAvailable):\s+(\d+) kB$", re.MULTILINE)


class Memory(NamedTuple):
    """Bytes. `free` is what can be had without swapping, caches included."""

    total: int
    free: int

    @property
    def used(self) -> int:
        return self.total - self.free

    @property
    def percent(self) -> float:
        return round(100 * self.used / self.total, 2) if self.total else 0.0


class _Limit(NamedTuple):
    """Of one control group, with the files that say how near it is."""

    bytes: int
    used: Path
    stat: Path
    cache_name: str


def memory(meminfo: Path = _MEMINFO, proc: Path = cgroup.PROC, mount: Path = cgroup.MOUNT) -> Memory:
    """The fullest of the machine and the control groups around this process."""
    return _fullest(meminfo, _limits(proc, mount))


class Gauge:
    """`memory()` for who asks all the time: whose groups have which limits it looks up now and then only."""

    def __init__(self, meminfo: Path = _MEMINFO, proc: Path = cgroup.PROC, mount: Path = cgroup.MOUNT) -> None:
        self._files = meminfo, proc, mount
        self._limits: Sequence[_Limit] = ()
        self._looks = 0

    def read(self) -> Memory:
        meminfo, proc, mount = self._files
        if self._looks == 0:
            self._limits, self._looks = _limits(proc, mount), LOOKS
        self._looks -= 1
        return _fullest(meminfo, self._limits)


def _fullest(meminfo: Path, limits: Sequence[_Limit]) -> Memory:
    return max((_of_machine(meminfo), *_of_groups(limits)), key=lambda memory: memory.percent)


def _of_machine(meminfo: Path) -> Memory:
    """Of Linux, or of another POSIX system as far as it says."""
    try:
        sizes = {name: int(kib) * 1024 for name, kib in _SIZES.findall(meminfo.read_bytes())}
        return Memory(sizes[b"MemTotal"], sizes.get(b"MemAvailable") or sizes[b"MemFree"])
    except (OSError, KeyError):
        page_bytes = os.sysconf("SC_PAGE_SIZE")
        total = page_bytes * os.sysconf("SC_PHYS_PAGES")
        free = page_bytes * os.sysconf("SC_AVPHYS_PAGES") if "SC_AVPHYS_PAGES" in os.sysconf_names else 0
        return Memory(total, free)


def _limits(proc: Path, mount: Path) -> list[_Limit]:
    found = []
    for group in cgroup.groups("memory", proc, mount):
        for limit_name, used_name, cache_name in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit = cgroup.number(group / limit_name)
            if limit and limit < _NO_LIMIT:
                found.append(_Limit(limit, group / used_name, group / "memory.stat", cache_name))
    return found


def _of_groups(limits: Sequence[_Limit]) -> list[Memory]:
    """Working sets, as the kubelet reckons them: memory that holds files which nobody has read lately is given back
    before anything is refused, so it counts as free."""
    found = []
    for limit in limits:
        used = cgroup.number(limit.used)
        if used is not None:
            working_set = max(0, used - cgroup.numbers(limit.stat).get(limit.cache_name, 0))
            found.append(Memory(limit.bytes, max(0, limit.bytes - working_set)))
    return found
