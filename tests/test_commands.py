"""Benchmarks, and the commands of this folder that are no tests: whoever moves something that they need is told."""

from __future__ import annotations

import importlib
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: Import what only `make fuzz` and `make bench-load` install.
ELSEWHERE = {"tests.fuzz.guided", "benchmarks.peers.websockets_server"}


def test_every_one_can_be_imported() -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for folder in ("benchmarks", "tests")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "node_modules" not in path.parts and not path.name.startswith("test_")
    ]
    assert {"benchmarks.growth.__main__", "tests.soak.__main__", *ELSEWHERE} <= set(names)
    for name in names:
        if name not in ELSEWHERE:
            importlib.import_module(name)
