"""The arrows between the folders of the engine point down, as CONTRIBUTING draws them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    path for kind in ("*.py", "*.pyx", "*.pxd") for path in (ROOT / "engine").rglob(kind) if path.stem != "__init__"
)

#: One row of the picture in CONTRIBUTING: the layer's number (none: the same as above) and its folders.
_ROW = re.compile(r"(\d| )  ([\w., ]+?)(?: {2,}.*)?\Z")
#: Implementations of an interface, which only those who put a process together may name.
DRIVERS = {"adapter", "stores", "webhooks.queues", "webhooks.queues.sqs", "webhooks.senders", "apps.sources"}
MAY_CHOOSE_DRIVERS = {"worker", "supervisor", "console", "control", "cli"}


def _picture() -> dict[str, int]:
    """Folder, or file beside the folders -> layer, as CONTRIBUTING draws it."""
    block = (ROOT / "CONTRIBUTING.md").read_text().split("**Layers.**")[1].split("```")[1]
    layers: dict[str, int] = {}
    layer = -1
    for line in block.strip("\n").splitlines():
        row = _ROW.match(line)
        assert row, f"not a row of the picture: {line!r}"
        layer = int(row[1]) if row[1] != " " else layer
        for room in row[2].split(", "):
            assert room not in layers, f"{room} stands twice in the picture"
            layers[room] = layer
    return layers


LAYERS = _picture()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    importer = module(path)
    wrong = [f"{importer} -> {imported}" for imported in imports(path) if not _allowed(importer, imported)]
    assert not wrong, f"an import that points up, or across to where it must not: {wrong}"


def test_the_picture_shows_every_room_and_no_other() -> None:
    assert set(LAYERS) == {room(module(path)) for path in SOURCES}


def test_few_files_lie_beside_the_folders() -> None:
    loose = sorted(path.name for path in (ROOT / "engine").glob("*.py") if path.stem != "__init__")
    assert len(loose) <= 8, loose


def test_files_import_each_other_in_no_circle() -> None:
    """Within a folder either, and be it inside a function."""
    waits_for = {module(path): set[str]() for path in SOURCES}
    for path in SOURCES:
        waits_for[module(path)] |= imports(path) - {module(path)}
    while free := {module for module, others in waits_for.items() if not others & waits_for.keys()}:
        waits_for = {module: others for module, others in waits_for.items() if module not in free}
    assert not waits_for, f"in a circle, or above one: {sorted(waits_for)}"


def test_every_arrow_is_seen() -> None:
    """The reader of imports itself: both languages, every spelling."""
    python = "import engine.a\nfrom engine.b import c\nif True:\n    from engine import d\n"
    cython = "cimport engine.a\nfrom engine.b cimport c, d\n    import engine.e as x\nfrom libc cimport y\n"
    assert {*_python_imports(python)} == {"engine.a", "engine.b", "engine.b.c", "engine", "engine.d"}
    assert {*_cython_imports(cython)} == {"engine.a", "engine.b", "engine.e"}
    assert not _allowed("engine.protocol.auth", "engine.publisher")
    assert not _allowed("engine.ws.handlers", "engine.http.routes")
    assert not _allowed("engine._fast.hub", "engine.errors")
    assert not _allowed("engine.leader.leader", "engine.stores.cache_redis")
    assert not _allowed("engine.config.reload", "engine.config.loading.load")
    assert not _allowed("engine.webhooks.queues.sqs.queue", "engine.webhooks.queues.drivers")
    assert _allowed("engine.webhooks.queues.drivers", "engine.webhooks.queues.sqs.queue")
    assert _allowed("engine.publisher", "engine.protocol.channel")
    assert _allowed("engine.worker.drivers", "engine.stores.cache_redis")


@cache
def imports(path: Path) -> frozenset[str]:
    """Modules of the engine that a file imports, wherever in the file."""
    text = path.read_text()
    found = _python_imports(text) if path.suffix == ".py" else _cython_imports(text)
    return frozenset(found) & _files()


@cache
def _files() -> frozenset[str]:
    return frozenset(map(module, SOURCES))


def _allowed(importer: str, imported: str) -> bool:
    """Within a folder always; else downwards only, or into a folder of its own, and to a driver only for those who
    choose it.

    Two folders can so never import each other.
    """
    above, below = room(importer), room(imported)
    if above == below:
        return True
    if below in DRIVERS and below.split(".")[0] != above.split(".")[0] and above not in MAY_CHOOSE_DRIVERS:
        return False
    return LAYERS[below] < LAYERS[above] or (below.startswith(f"{above}.") and LAYERS[below] == LAYERS[above])


def room(name: str) -> str:
    """The folder of a module below `engine`; its own name if it lies beside the folders."""
    parts = name.split(".")[1:]
    return ".".join(parts[:-1]) or parts[0]


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def _python_imports(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            yield from (node.module or "", *(f"{node.module}.{name.name}" for name in node.names))


def _cython_imports(text: str) -> Iterator[str]:
    for found in re.finditer(r"^\s*(?:from\s+([\w.]+)\s+c?import|c?import\s+([\w.]+))", text, re.MULTILINE):
        name = found[1] or found[2]
        if name.startswith("engine"):
            yield name
