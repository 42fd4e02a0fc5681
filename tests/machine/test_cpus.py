"""Processors that a container may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.machine import cpus
from engine.machine.cpus import usable_cpus


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cgroup.controllers": "", "cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cgroup.controllers": "", "cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cgroup.controllers": "", "cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cgroup.controllers": "", "cpu.max": "10000 100000\n"}, 1),
        ("0::/\n", {"cgroup.controllers": "", "cpu.max": "6400000 100000\n"}, 8),
        ("0::/a/b\n", {"cgroup.controllers": "", "a/cpu.max": "300000 100000\n", "a/b/cpu.max": "max 100000"}, 3),
        (
            "2:cpu,cpuacct:/x\n",
            {"cpu,cpuacct/x/cpu.cfs_quota_us": "400000", "cpu,cpuacct/x/cpu.cfs_period_us": "100000"},
            4,
        ),
        ("2:cpu,cpuacct:/x\n", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, 8),
        ("nonsense", {}, 8),
    ],
)
def test_affinity_and_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: str, files: dict[str, str], expected: int
) -> None:
    monkeypatch.setattr(cpus.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    proc, mount = tmp_path / "cgroup", tmp_path / "mount"
    proc.write_text(groups)
    for name, text in files.items():
        (mount / name).parent.mkdir(parents=True, exist_ok=True)
        (mount / name).write_text(text)
    assert usable_cpus(proc, mount) == expected


def test_this_machine() -> None:
    assert 1 <= usable_cpus() <= (os.cpu_count() or 1)
