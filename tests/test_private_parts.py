"""Private parts of libraries that the engine uses: each is there, and its library is pinned below what was not tried.

A library may change such parts in any release. When a pin is raised, the use is looked at and this table with it.
"""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PINS = {
    match[1].lower(): match[2]
    for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    if (match := re.match(r"([\w.-]+).*<([\d.]+)$", line))
}
#: Package, the part (module:attributes), and who uses it.
PARTS = [
    ("picows", "picows.picows:_parse_http_request", "ws/upgrade.py"),
    ("picows", "picows.picows:_validate_upgrade_request", "ws/upgrade.py"),
    ("aiohttp", "aiohttp.web_protocol:RequestHandler._message_tail", "worker/listener.py"),
    ("aiohttp", "aiohttp._http_parser:HttpRequestParser", "_fast/llhttp.pyx"),
    *(
        ("aiohttp", f"aiohttp.web_protocol:RequestHandler.{name}", "http/connection.py")
        for name in ("_messages", "_waiter", "_request_count", "_close")
    ),
    ("redis", "redis.asyncio.cluster:RedisCluster.initialize", "redis/cluster_client.py"),
    ("redis", "redis.asyncio.cluster:NodesManager.aclose", "redis/cluster_client.py"),
    ("redis", "redis.asyncio.connection:AbstractConnection._reader", "redis/noticing.py"),
    ("redis", "redis.asyncio.connection:AbstractConnection._writer", "redis/noticing.py"),
    ("redis", "redis.asyncio.sentinel:SentinelConnectionPool", "redis/sentinel.py"),
    ("prometheus-client", "prometheus_client.mmap_dict:MmapedDict.write_value", "metrics/values.py"),
    ("prometheus-client", "prometheus_client.mmap_dict:MmapedDict.read_all_values_from_file", "metrics/values.py"),
]


@pytest.mark.parametrize("package, part, user", PARTS, ids=[part for _, part, _ in PARTS])
def test_it_is_there_and_pinned(package: str, part: str, user: str) -> None:
    module, _, attributes = part.partition(":")
    found = importlib.import_module(module)
    for name in attributes.split("."):
        slots = getattr(found, "__slots__", ())
        assert hasattr(found, name) or name in slots, f"{part} is gone; {user} uses it"
        found = getattr(found, name, None)
    installed = metadata.version(package).split(".")
    above = PINS[package].split(".")
    assert len(above) == 2, f"{package} is pinned to a minor version"
    assert [int(number) for number in installed[:2]] < [int(number) for number in above]


def test_what_a_cluster_client_keeps_is_what_ours_sets() -> None:
    """Attributes that only an instance has."""
    from engine.config.redis import Node
    from engine.redis.cluster_client import ClusterClient

    client = ClusterClient([Node("127.0.0.1", 1)], tls=False, max_connections=1)
    assert client._initialize is True
    assert hasattr(client.nodes_manager, "nodes_cache") and hasattr(client.nodes_manager, "startup_nodes")


def test_no_other_private_part_is_imported() -> None:
    listed = {part for _, part, _ in PARTS}
    for path in sorted((ROOT / "engine").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] in ("engine", "__future__"):
                continue
            private = any(part.startswith("_") for part in (node.module or "").split("."))
            for name in node.names:
                if private or (name.name.startswith("_") and not name.name.endswith("__")):
                    assert f"{node.module}:{name.name}" in listed, f"{path.name} imports {node.module}.{name.name}"
