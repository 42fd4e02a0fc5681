"""The arrows between the files of the engine point down: an import never reaches a higher layer."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    path for kind in ("*.py", "*.pyx", "*.pxd") for path in (ROOT / "engine").rglob(kind) if path.stem != "__init__"
)

#: Module or folder -> layer; the longest match counts. A new file that matches nothing must be given its place here.
LAYERS = {
    # 0: vocabulary and hot code
    "engine._fast": 0,
    "engine.app": 0,
    "engine.config": 0,
    "engine.errors": 0,
    "engine.health": 0,
    "engine.interfaces": 0,
    "engine.log": 0,
    "engine.metrics.metrics": 0,
    "engine.prometheus": 0,
    "engine.tasks": 0,
    # 1: pure rules, and the wires to Redis and AWS
    "engine.aws": 1,
    "engine.protocol": 1,
    "engine.redis": 1,
    "engine.webhooks.senders.resolver": 1,
    "engine.webhooks.event": 1,
    "engine.webhooks.filter": 1,
    "engine.webhooks.senders.headers": 1,
    "engine.webhooks.job": 1,
    # 2: drivers
    "engine.adapter": 2,
    "engine.apps": 2,
    "engine.cache": 2,
    "engine.idempotency": 2,
    "engine.occupancy": 2,
    "engine.rate_limiter": 2,
    "engine.webhooks.senders.http": 2,
    "engine.webhooks.senders.aws_lambda": 2,
    "engine.webhooks.queues.memory": 2,
    "engine.webhooks.queues.redis": 2,
    "engine.webhooks.queues.sqs.queue": 2,
    "engine.webhooks.queues.sqs.client": 2,
    "engine.webhooks.queues.sqs.in_flight": 2,
    "engine.webhooks.queues.sqs.dead_letters": 2,
    "engine.webhooks.queues.sqs.messages": 2,
    "engine.webhooks.queues.sqs.outbox": 2,
    # 3: use cases
    "engine.leader.leader": 3,
    "engine.occupancy.reporter": 3,
    "engine.publisher": 3,
    "engine.users": 3,
    "engine.webhooks": 3,
    # 4: edges
    "engine.http": 4,
    "engine.ws": 4,
    # 5 and 6: the door, and the processes
    "engine.worker.listener": 5,
    "engine.__main__": 6,
    "engine.supervisor.banner": 6,
    "engine.worker.app_updates": 6,
    "engine.cli": 6,
    "engine.cluster": 6,
    "engine.control": 6,
    "engine.worker.traffic_metrics": 6,
    "engine.worker.parts": 6,
    "engine.supervisor.worker_process": 6,
    "engine.supervisor.sockets": 6,
    "engine.supervisor.rollout": 6,
    "engine.worker.webhook_drain": 6,
    "engine.webhooks.senders.registry": 6,
    "engine.supervisor.supervisor": 6,
    "engine.worker.tls": 6,
    "engine.worker.worker": 6,
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    importer = _module(path)
    wrong = [f"{importer} -> {imported}" for imported in imports(path) if not _allowed(importer, imported)]
    assert not wrong, f"an import that points up, or across to where it must not: {wrong}"


def test_every_arrow_is_seen() -> None:
    """The reader of imports itself: both languages, every spelling."""
    python = "import engine.a\nfrom engine.b import c\nif True:\n    from engine import d\n"
    cython = "cimport engine.a\nfrom engine.b cimport c, d\n    import engine.e as x\nfrom libc cimport y\n"
    assert {*_python_imports(python)} == {"engine.a", "engine.b", "engine.b.c", "engine", "engine.d"}
    assert {*_cython_imports(cython)} == {"engine.a", "engine.b", "engine.e"}
    assert not _allowed("engine.protocol.auth", "engine.publisher")
    assert not _allowed("engine.ws.handlers", "engine.http.routes")
    assert not _allowed("engine._fast.hub", "engine.errors")
    assert not _allowed("engine.publisher", "engine.adapter.redis")
    assert _allowed("engine.publisher", "engine.protocol.channel")


def imports(path: Path) -> set[str]:
    """Modules of the engine that a file imports, wherever in the file."""
    text = path.read_text()
    found = _python_imports(text) if path.suffix == ".py" else _cython_imports(text)
    files = {_module(source) for source in SOURCES}
    return {name for name in found if name in files}


def _allowed(importer: str, imported: str) -> bool:
    """Downwards always, but for use cases, which are handed their drivers; on one level only within a folder.

    The vocabulary (layer 0) may use itself; the hot code knows nothing of the engine.
    """
    above, below = _layer(importer), _layer(imported)
    same_folder = importer.rpartition(".")[0] == imported.rpartition(".")[0] != "engine"
    if importer.startswith("engine._fast."):
        return imported.startswith("engine._fast.")
    if same_folder or above == below == 0:
        return above >= below
    if above == 6:
        return True
    return below < above and (above, below) != (3, 2)


def _layer(module: str) -> int:
    """The layer of a module, by the longest name in the table that contains it."""
    name = module
    while name and name not in LAYERS:
        name = name.rpartition(".")[0]
    assert name, f"{module} has no layer yet: give it one in {__name__}"
    return LAYERS[name]


def _module(path: Path) -> str:
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
