"""The ways in which files of other servers name a Redis Cluster, brought into `database.redis.cluster_nodes`.

Checks no value. Errors keep naming the key that the user wrote.
"""

from __future__ import annotations

from typing import Any

from engine.config.base import to_flag
from engine.config.loading.document import Document, get, put
from engine.config.loading.mistakes import Mistakes
from engine.config.option_path import Path

NODES: Path = ("database", "redis", "cluster_nodes")
_ELSEWHERE: tuple[Path, ...] = (("database", "redis", "cluster", "nodes"), ("adapter", "cluster", "nodes"))
_PARTS = ("adapter", "cache", "queue", "rate_limiter")
_WORD = "redis-cluster"


def normalize(document: Document, mistakes: Mistakes) -> None:
    """One list of nodes; a driver `redis-cluster` and a flag `cluster_mode` become `redis` with that list."""
    _credentials(document, mistakes)
    for path in _ELSEWHERE:
        _move(document, path, mistakes)
    if get(document, ("queue", "driver")) == _WORD:
        _queue(document, mistakes)
    requested = {path: value for part in _PARTS for path, value in _requests(document, part, mistakes)}
    if requested and not get(document, NODES):
        _from_single(document, requested, mistakes)


def _credentials(document: Document, mistakes: Mistakes) -> None:
    """What Sockudo gives the nodes of `database.redis.cluster` in common is what `database.redis` says here."""
    redis, cluster = get(document, NODES[:-1]), get(document, (*NODES[:-1], "cluster"))
    if not isinstance(cluster, dict):
        return
    for theirs, ours in (("username", "username"), ("password", "password"), ("use_tls", "tls"), ("useTLS", "tls")):
        value = cluster.pop(theirs, None)
        if cluster.get("nodes") and value not in (None, ""):
            redis[ours] = value
            mistakes.written[*NODES[:-1], ours] = f"database.redis.cluster.{theirs}"
    if not cluster:
        del redis["cluster"]


def _queue(document: Document, mistakes: Mistakes) -> None:
    """The cluster that `queue.redis_cluster` names, and how its queue is used."""
    _move(document, ("queue", "redis_cluster", "nodes"), mistakes)
    section = get(document, ("queue", "redis_cluster"))
    for key in ("concurrency", "prefix") if isinstance(section, dict) else ():
        path: Path = ("queue", "redis", key)
        if key in section and put(document, path, section.pop(key)):
            mistakes.written[path] = f"queue.redis_cluster.{key}"
    if section == {}:
        del document["queue"]["redis_cluster"]


def _move(document: Document, path: Path, mistakes: Mistakes) -> None:
    parent = get(document, path[:-1])
    if not isinstance(parent, dict) or path[-1] not in parent:
        return
    nodes = parent.pop(path[-1])
    if not parent:
        get(document, path[:-2]).pop(path[-2])
    if not nodes:
        return
    written = mistakes.name(path)
    if get(document, NODES) and get(document, NODES) != nodes:
        mistakes.add(path, f"differs from {mistakes.name(NODES)}; every part uses one Redis, so give one of them")
    elif put(document, NODES, nodes):
        mistakes.written[NODES] = written


def _requests(document: Document, part: str, mistakes: Mistakes) -> list[tuple[Path, Any]]:
    """Where, and by which value, a part is made to use a cluster; rewritten there to our words."""
    found: list[tuple[Path, Any]] = []
    section = get(document, (part,))
    if not isinstance(section, dict):
        return found
    if section.get("driver") == _WORD:
        section["driver"] = "redis"
        found.append(((part, "driver"), _WORD))
    options = section.get("redis")
    if isinstance(options, dict) and "cluster_mode" in options:
        flag = to_flag(options["cluster_mode"])
        path: Path = (part, "redis", "cluster_mode")
        if flag is None:
            mistakes.add(path, "is not a truth value; allowed: true, false", options["cluster_mode"])
        elif flag:
            found.append((path, options["cluster_mode"]))
        del options["cluster_mode"]
    return found


def _from_single(document: Document, requested: dict[Path, Any], mistakes: Mistakes) -> None:
    """The one server that is named is a node of the cluster, then."""
    given = get(document, NODES[:-1])
    given = given if isinstance(given, dict) else {}
    url, host = given.get("url"), given.get("host")
    if url:
        put(document, NODES, [url])
        mistakes.written[NODES] = mistakes.name((*NODES[:-1], "url"))
    elif host:
        put(document, NODES, [{"host": host, "port": given.get("port", 6379)}])
        mistakes.written[NODES] = mistakes.name((*NODES[:-1], "host"))
    else:
        for path, value in requested.items():
            mistakes.add(path, "needs the cluster's nodes in database.redis.cluster_nodes", value)
