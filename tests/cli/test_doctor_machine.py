"""What `doctor` says of the memory of an engine in a control group of its own, as a service or a container has one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from engine.cli import doctor_machine
from engine.machine import cgroup
from tests.support.waiting import wait_until

#: Of control groups, version 2 and 1.
LIMITS = ("memory.max", "memory.limit_in_bytes")


@pytest.fixture
def bounded() -> Iterator[int]:
    """A process in a control group of its own, of 200 MiB, that holds 150 of them."""
    mount = cgroup.MOUNT if "memory" in cgroup.words(cgroup.MOUNT / "cgroup.controllers") else cgroup.MOUNT / "memory"
    group = mount / f"engine-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("needs a control group, which this user may not make")
    holding = "input(); held = b'x' * (150 << 20); print(flush=True); input()"
    command = [sys.executable, "-c", holding]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            limit = next((path for name in LIMITS if (path := group / name).exists()), None)
            if limit is None:
                pytest.skip("needs control groups that bound memory")
            limit.write_text(str(200 * 2**20))
            (group / "cgroup.procs").write_text(str(process.pid))
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"\n"
            yield process.pid
        finally:
            process.kill()
            process.wait()
            wait_until(lambda: not cgroup.words(group / "cgroup.procs"))
            group.rmdir()


def test_the_limit_is_that_of_the_engine_and_not_of_the_shell(bounded: int) -> None:
    found = doctor_machine.room(engine=bounded)
    assert re.fullmatch(r"7\d\.?\d* % of 200 MiB are in use, the limit of a container or a service", found.message)
    assert found.level == "warning"
    assert " of 200 MiB" not in doctor_machine.room().message
