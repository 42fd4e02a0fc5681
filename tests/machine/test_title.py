"""What a process is called, as `ps` shows it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

#: Says its own name, command line and environment, once it has been called something else.
CALLED = """
import json, os, sys
from engine.machine.title import set_title
set_title(*json.loads(sys.argv[1]))
read = lambda name: open(f"/proc/self/{name}", "rb").read().decode()
print(json.dumps([read("comm").strip(), read("cmdline").rstrip("\\0"), os.environ["SAID"]]))
"""


@pytest.mark.parametrize(
    "given, name, line",
    [
        (["engine.worker", "3"], "engine.worker", "engine.worker 3"),
        (["engine.console"], "engine.console", "engine.console"),
        (["engine.longer_than_fits"], "engine.longer_t", "engine.longer_than_fits"),
        (["x", "y" * 5000], "x", None),
    ],
)
def test_a_process_is_called_as_it_wishes(given: list[str], name: str, line: str | None) -> None:
    words = [sys.executable, "-c", CALLED, json.dumps(given)]
    done = subprocess.run(
        words, check=True, env={"SAID": "whole", "PYTHONPATH": "."}, capture_output=True, text=True, timeout=60
    )
    found_name, found_line, environment = json.loads(done.stdout)
    assert found_name == name
    assert environment == "whole"
    if line is None:
        # There is no more room than the command line had.
        room = sum(len(word.encode()) + 1 for word in words)
        assert found_line == f"{given[0]} {given[1]}"[: room - 1]
    else:
        assert found_line == line
