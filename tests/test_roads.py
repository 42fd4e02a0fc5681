"""Every module of the engine is tested: by a file that mirrors it, or by those that the table of CONTRIBUTING names."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ENGINE, TESTS = ROOT / "engine", ROOT / "tests"
#: Roads that start engines as processes of their own, and so run whatever those run.
STARTS_ENGINES = ("integration", "conformance", "chaos", "cli")
#: What an engine's processes begin with.
BEGINNINGS = ("engine.__main__", "engine.worker.worker", "engine.console.console")
_ROW = re.compile(r"\| `(?P<folder>[\w/]+)` \| (?P<modules>[\w, ]+) \| (?P<tests>[\w/.`, ]+) \|")
_NAMED = re.compile(r"^\s*(?:from (engine[\w.]*) c?import ([\w, ]+)|c?import (engine[\w.]+))", re.MULTILINE)
_AS_TEXT = re.compile(r"""["'](engine(?:\.\w+)+)[:"']""")


def _modules() -> set[str]:
    """`ws/handlers` for each file that holds code."""
    return {
        path.relative_to(ENGINE).with_suffix("").as_posix()
        for kind in ("*.py", "*.pyx")
        for path in ENGINE.rglob(kind)
        if path.stem != "__init__"
    }


def _mirrored(module: str) -> bool:
    folder, _, name = module.rpartition("/")
    return (TESTS / folder / f"test_{name}.py").exists()


def _table() -> list[tuple[str, list[str]]]:
    """Each module with the tests that its row names."""
    block = (ROOT / "CONTRIBUTING.md").read_text().split("| folder | modules | tested by |\n|---|---|---|\n")[1]
    rows = []
    for line in block.split("\n\n")[0].splitlines():
        row = _ROW.fullmatch(line)
        assert row, f"not a row of the table: {line!r}"
        prefix = "" if row["folder"] == "engine" else f"{row['folder']}/"
        tests = re.findall(r"`([\w/.]+)`", row["tests"])
        rows += [(prefix + name, tests) for name in row["modules"].split(", ")]
    return rows


TABLE = _table()


def test_each_module_has_a_test_of_its_own_or_a_row() -> None:
    rows = [module for module, _ in TABLE]
    assert len(rows) == len(set(rows)), "a module stands in two rows"
    assert set(rows) == {module for module in _modules() if not _mirrored(module)}


@pytest.mark.parametrize("module, tests", TABLE, ids=[module for module, _ in TABLE])
def test_the_tests_of_a_row_reach_its_module(module: str, tests: list[str]) -> None:
    name = "engine." + module.replace("/", ".")
    for road in tests:
        path = TESTS / road
        assert path.exists(), road
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        starts = road.split("/")[0] in STARTS_ENGINES
        reached = _reached(tuple(BEGINNINGS)) if starts else _reached(tuple(_module_of(file) for file in files))
        assert name in reached, f"nothing in tests/{road} leads to {name}"


@cache
def _reached(beginnings: tuple[str, ...]) -> frozenset[str]:
    """Modules of engine and tests that are imported by these, or by what they import."""
    found: set[str] = set()
    todo = list(beginnings)
    while todo:
        module = todo.pop()
        if module not in found:
            found.add(module)
            todo += _imports(module)
    return frozenset(found)


@cache
def _imports(module: str) -> tuple[str, ...]:
    path = ROOT / module.replace(".", "/")
    file = next((f for kind in (".py", ".pyx") if (f := path.with_suffix(kind)).exists()), path / "__init__.py")
    text = file.read_text()
    names: set[str] = set(_AS_TEXT.findall(text))
    if file.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
    else:
        text += file.with_suffix(".pxd").read_text() if file.with_suffix(".pxd").exists() else ""
        for origin, taken, whole in _NAMED.findall(text):
            names |= {whole or origin, *(f"{origin}.{name.strip()}" for name in taken.split(",") if origin)}
    return tuple(name for name in names if name.split(".")[0] in ("engine", "tests") and _is_module(name))


def _is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.is_dir() or any(path.with_suffix(kind).exists() for kind in (".py", ".pyx"))


def _module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)
