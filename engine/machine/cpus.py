"""How many workers make sense here: the processors that this process may use, its container's quota counted in.

Only reads.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from engine.machine import cgroup


def usable_cpus(proc: Path = cgroup.PROC, mount: Path = cgroup.MOUNT) -> int:
    """At least 1. A quota of one and a half processors counts as two: one worker would leave half of one unused."""
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    return max(1, min([cpus, *(math.ceil(quota) for quota in _quotas(proc, mount))]))


def _quotas(proc: Path, mount: Path) -> list[float]:
    """Processors that each group allows, where it bounds them."""
    found = []
    for group in cgroup.groups("cpu", proc, mount):
        match cgroup.words(group / "cpu.max"):
            case [quota, period] if quota.isdigit() and period.isdigit():
                found.append(int(quota) / int(period))
        quota_us, period_us = (cgroup.number(group / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota_us and period_us:
            found.append(quota_us / period_us)
    return found
