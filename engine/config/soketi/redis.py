"""The Redis of a soketi configuration: what each of its parts is told, as the one Redis that every part here uses.

Pure: no value is checked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.config.loading.document import Document, get, leaves, put, says_nothing

#: Options that a part may have for itself; its library lays them over `database.redis`.
_OWN: tuple[str, ...] = (
    "adapter.redis.redisPubOptions",
    "adapter.redis.redisSubOptions",
    "cache.redis.redisOptions",
    "queue.redis.redisOptions",
    "rateLimiter.redis.redisOptions",
)
#: What `database.redis` and a part's own options say of the connection -> ours, below `database.redis`.
_CONNECTION: dict[str, str] = {
    "host": "host",
    "port": "port",
    "db": "db",
    "username": "username",
    "password": "password",
    "tls": "tls",
    "sentinels": "sentinels",
    "sentinelPassword": "sentinel_password",
    "name": "name",
}
#: What is said inside of `tls` -> what to do instead.
_OF_TLS: dict[str, str] = {
    "ca": "name its file in database.redis.tls_ca_path",
    "cert": "name its file in database.redis.tls_cert_path",
    "key": "name its file in database.redis.tls_key_path",
    "rejectUnauthorized": "certificates are checked here; database.redis.tls_ca_path names an authority of your own",
}


class _Own(NamedTuple):
    path: str
    options: Document


def convert_redis(source: Document, ours: Document, notes: list[str], drivers: Mapping[str, Any]) -> None:
    """soketi connects to Redis only where a driver is redis; here an address is enough for all parts to use it.

    :param source: what was converted is taken out of it. :param drivers: part -> its driver, as it was written.
    """
    found = _taken(source, "database.redis")
    common = dict(found) if isinstance(found, dict) else {}
    nodes = common.pop("clusterNodes", None)
    clustered = [part for part in drivers if not says_nothing(_taken(source, f"{part}.redis.clusterMode"))]
    own = _own(source, notes, drivers)
    if "redis" not in drivers.values():
        if nodes or not says_nothing(common):
            notes.append("database.redis: no driver uses it there, so it is left out; here every part would use it")
        return
    put(ours, ("database", "redis", "host"), "127.0.0.1")
    if prefix := common.pop("keyPrefix", None):
        put(ours, ("database", "redis", "key_prefix"), prefix)
    for each in (_Own("database.redis", common), *own):
        _plain_tls(each, notes)
    for option, place in _CONNECTION.items():
        value = _agreed(option, common.pop(option, None), own, notes)
        if value not in (None, "", []):
            put(ours, ("database", "redis", place), value)
    for each in (_Own("database.redis", common), *own):
        notes += [f"{each.path}.{name}: has no counterpart" for name in leaves(each.options) if name]
    if clustered:
        # Without nodes it is the one server that is named.
        put(ours, ("adapter", "redis", "cluster_mode"), True)
        put(ours, ("database", "redis", "cluster_nodes"), nodes or [])
    elif nodes:
        notes.append("database.redis.clusterNodes: no clusterMode is on there, so they are left out")


def _own(source: Document, notes: list[str], drivers: Mapping[str, Any]) -> list[_Own]:
    """The own options of the parts that use Redis."""
    used = []
    for path in _OWN:
        part = path.partition(".")[0]
        options = _taken(source, path)
        if drivers.get(part) == "redis" and isinstance(options, dict | None):
            own = dict(options or {})
            # A cluster is told of its nodes one step further in.
            if isinstance(own.get("redisOptions"), dict):
                own |= own.pop("redisOptions")
            used.append(_Own(path, own))
        elif options not in (None, {}):
            notes.append(f"{path}: is left out; {part}.driver is not redis there")
    return used


def _plain_tls(own: _Own, notes: list[str]) -> None:
    """`tls` as on or off; an empty object switches it on."""
    found = own.options.get("tls")
    if isinstance(found, dict):
        own.options["tls"] = True
        notes += [f"{own.path}.tls.{name}: {_OF_TLS.get(name, 'has no counterpart')}" for name in found]


def _agreed(option: str, common: Any, own: list[_Own], notes: list[str]) -> Any:
    """What all parts that use Redis say of the connection; the common value where they do not agree."""
    said = [(each.path, each.options.pop(option, common)) for each in own]
    if all(value == said[0][1] for _, value in said):
        return said[0][1]
    others = [path for path, value in said if value != common]
    notes.append(f"{', '.join(others)}: {option}: not all say the same; every part uses the one of database.redis")
    return common


def _taken(source: Document, option: str) -> Any:
    *way, last = option.split(".")
    parent = get(source, tuple(way))
    return parent.pop(last, None) if isinstance(parent, dict) else None
