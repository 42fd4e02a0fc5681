"""Memory of machines and of containers, as the kernel's files tell it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.machine.memory import LOOKS, Gauge, memory

GIB = 1 << 30
MEMINFO = "MemTotal: 16777216 kB\nMemFree: 1048576 kB\nMemAvailable: 8388608 kB\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 250 kB\n", (1_024_000, 256_000, 768_000, 75.0)),
        ("MemTotal: 1000 kB\nMemFree: 100 kB\n", (1_024_000, 102_400, 921_600, 90.0)),
    ],
)
def test_memory_of_linux(tmp_path: Path, text: str, expected: tuple[int, int, int, float]) -> None:
    file = tmp_path / "meminfo"
    file.write_text(text)
    found = memory(file, file.parent / "no-groups")
    assert (found.total, found.free, found.used, found.percent) == expected


@pytest.mark.parametrize("text", [None, "", "MemTotal\n", "MemTotal: x kB\n", "\xff"])
def test_memory_elsewhere(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "meminfo"
    if text is not None:
        file.write_text(text, "latin-1")
    assert 0 < memory(file, file.parent / "no-groups").used <= memory(file, file.parent / "no-groups").total


def container(tmp_path: Path, groups: str, files: dict[str, str]) -> tuple[Path, Path, Path]:
    """The files of a machine of 16 GiB, half of them free. :param files: of its control groups, below the mount."""
    meminfo, proc, mount = tmp_path / "meminfo", tmp_path / "cgroup", tmp_path / "mount"
    meminfo.write_text(MEMINFO)
    proc.write_text(groups)
    mount.mkdir()
    for name, text in files.items():
        (mount / name).parent.mkdir(parents=True, exist_ok=True)
        (mount / name).write_text(text)
    return meminfo, proc, mount


V2 = {"cgroup.controllers": "cpu memory\n"}
STAT = "anon 1\ninactive_file 536870912\nactive_file 7\n"


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        pytest.param("0::/\n", V2, (16 * GIB, 8 * GIB), id="no limit at all"),
        pytest.param(
            "0::/\n",
            V2 | {"memory.max": f"{4 * GIB}\n", "memory.current": f"{3 * GIB}\n", "memory.stat": STAT},
            (4 * GIB, 2.5 * GIB),
            id="page cache that nobody uses is not in use",
        ),
        pytest.param(
            "0::/slice/unit\n",
            V2
            | {
                "slice/memory.max": f"{GIB}",
                "slice/memory.current": f"{GIB * 3 // 4}",
                "slice/unit/memory.max": "max",
                "slice/unit/memory.current": f"{GIB // 2}",
            },
            (GIB, 0.75 * GIB),
            id="the limit of a group further out",
        ),
        pytest.param(
            "0::/kubepods/pod/of-the-host\n",
            V2 | {"memory.max": f"{GIB}", "memory.current": f"{GIB}"},
            (GIB, GIB),
            id="a path that is the host's",
        ),
        pytest.param(
            "4:memory:/docker/x\n0::/\n",
            {
                "memory/docker/x/memory.limit_in_bytes": f"{2 * GIB}",
                "memory/docker/x/memory.usage_in_bytes": f"{2 * GIB}",
                "memory/docker/x/memory.stat": "inactive_file 1\ntotal_inactive_file 536870912\n",
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "memory/memory.usage_in_bytes": f"{15 * GIB}",
            },
            (2 * GIB, 1.5 * GIB),
            id="version 1",
        ),
        pytest.param(
            "0::/\n",
            V2 | {"memory.max": f"{4 * GIB}", "memory.current": f"{GIB}"},
            (16 * GIB, 8 * GIB),
            id="the machine is fuller than the container",
        ),
    ],
)
def test_the_fullest_counts(tmp_path: Path, groups: str, files: dict[str, str], expected: tuple[float, float]) -> None:
    found = memory(*container(tmp_path, groups, files))
    assert (found.total, found.used) == expected


def test_this_machine() -> None:
    assert 0 < memory().used <= memory().total


def test_a_gauge_reads_what_is_used_each_time_and_limits_now_and_then(tmp_path: Path) -> None:
    files = V2 | {"memory.max": f"{4 * GIB}\n", "memory.current": f"{3 * GIB}\n", "memory.stat": STAT}
    gauge = Gauge(*container(tmp_path, "0::/\n", files))
    assert gauge.read() == (4 * GIB, 1.5 * GIB)
    (tmp_path / "mount" / "memory.current").write_text(f"{4 * GIB}\n")
    (tmp_path / "mount" / "memory.max").write_text(f"{5 * GIB}\n")
    assert {gauge.read() for _ in range(LOOKS - 1)} == {(4 * GIB, 0.5 * GIB)}
    assert gauge.read() == (5 * GIB, 1.5 * GIB)
