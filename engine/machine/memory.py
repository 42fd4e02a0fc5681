"""How much memory is in use: the machine's, or that of the container whose limit is nearest to being reached.

Only reads; for /usage, /accept-traffic and the guard of new connections.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from engine.machine import cgroup

_MEMINFO = Path("/proc/meminfo")
#: From so many bytes on a limit is none: version 1 says "no limit" with a number near 2 to the 63.
_NO_LIMIT = 1 << 60


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


def memory(meminfo: Path = _MEMINFO, proc: Path = cgroup.PROC, mount: Path = cgroup.MOUNT) -> Memory:
    """The fullest of the machine and the control groups around this process."""
    return max((_of_machine(meminfo), *_of_groups(proc, mount)), key=lambda memory: memory.percent)


def _of_machine(meminfo: Path) -> Memory:
    """Of Linux, or of another POSIX system as far as it says."""
    try:
        lines = meminfo.read_text("ascii").splitlines()
        sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        return Memory(sizes["MemTotal"], sizes.get("MemAvailable", sizes["MemFree"]))
    except (OSError, KeyError, ValueError, IndexError):
        page_bytes = os.sysconf("SC_PAGE_SIZE")
        total = page_bytes * os.sysconf("SC_PHYS_PAGES")
        free = page_bytes * os.sysconf("SC_AVPHYS_PAGES") if "SC_AVPHYS_PAGES" in os.sysconf_names else 0
        return Memory(total, free)


def _of_groups(proc: Path, mount: Path) -> list[Memory]:
    """Working sets, as the kubelet reckons them: memory that holds files which nobody has read lately is given back
    before anything is refused, so it counts as free."""
    found = []
    for group in cgroup.groups("memory", proc, mount):
        for limit_name, used_name, cache_name in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit, used = cgroup.number(group / limit_name), cgroup.number(group / used_name)
            if limit and used is not None and limit < _NO_LIMIT:
                working_set = max(0, used - cgroup.numbers(group / "memory.stat").get(cache_name, 0))
                found.append(Memory(limit, max(0, limit - working_set)))
    return found
