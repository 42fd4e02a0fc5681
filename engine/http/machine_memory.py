"""How much of the machine's memory is in use, for /usage and /accept-traffic."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_MEMINFO = Path("/proc/meminfo")


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


def memory(meminfo: Path = _MEMINFO) -> Memory:
    """Of Linux, or of another POSIX system as far as it tells."""
    try:
        lines = meminfo.read_text("ascii").splitlines()
        sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        return Memory(sizes["MemTotal"], sizes.get("MemAvailable", sizes["MemFree"]))
    except (OSError, KeyError, ValueError, IndexError):
        page_bytes = os.sysconf("SC_PAGE_SIZE")
        total = page_bytes * os.sysconf("SC_PHYS_PAGES")
        free = page_bytes * os.sysconf("SC_AVPHYS_PAGES") if "SC_AVPHYS_PAGES" in os.sysconf_names else 0
        return Memory(total, free)
