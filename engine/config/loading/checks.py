"""Mistakes that only show when two options are seen together, or a file on disk is.

Works on the plain document, after renaming, so that they are shown together with every mistake in single values. A
value of a wrong type is not a finding here: `validation_errors.py` has it.
"""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from engine.config.backends import ClusterHealth, QueueConfig, RedisConfig
from engine.config.base import to_flag, to_whole
from engine.config.history import HistoryRuleConfig
from engine.config.loading import certificates
from engine.config.loading.default_app import APPS
from engine.config.loading.document import Document, get, objects
from engine.config.loading.mistakes import Mistakes
from engine.config.option_path import Path
from engine.config.root import Config
from engine.config.server import ConsoleConfig, MetricsConfig

#: Driver -> the library it needs, and the extra of our package that brings it.
LIBRARIES: dict[str, tuple[str, str]] = {
    **{
        driver: library
        for driver, section in QueueConfig.model_fields.items()
        if (library := getattr(section.annotation, "library", None))
    },
    "dynamodb": ("aiobotocore", "aws"),
    "mysql": ("aiomysql", "mysql"),
    **dict.fromkeys(("postgres", "postgresql", "pgsql"), ("asyncpg", "postgres")),
}
#: Hosts that are every address of the machine.
_EVERYWHERE = ("0.0.0.0", "::", None)
#: The kernel's limit (unix(7)), without the byte at its end.
MAX_SOCKET_PATH_BYTES = 107
# By its path: what a registry may have under the engine's name is not ours.
_NEEDS = "needs a library that is not installed; pip install '.[{}]' in the folder of the engine's source"


def check(document: Document, workers: int, mistakes: Mistakes) -> None:
    """Run every check."""
    _drivers(document, workers, mistakes)
    _cluster_health(document, mistakes)
    _redis(document, mistakes)
    _databases(document, mistakes)
    certificates.check(document, mistakes)
    _unix_sockets(document, mistakes)
    _api_address(document, mistakes)
    _ports(document, mistakes)
    _libraries(document, mistakes)
    _tls_only(document, mistakes)
    _proxies(document, mistakes)
    for key in ("id", "key"):
        _distinct(document, key, mistakes)
    for path, app in objects(document, APPS):
        for inner, rule in objects(app, ("history",)):
            _history_rule(rule, (*path, *inner), mistakes)
        for inner, rule in objects(app, ("presence_history",)):
            _presence_rule(rule, (*path, *inner), mistakes)
        for inner, webhook in objects(app, ("webhooks",)):
            _webhook(webhook, (*path, *inner), mistakes)


def _drivers(document: Document, workers: int, mistakes: Mistakes) -> None:
    if workers <= 1:
        return
    if get(document, ("adapter", "driver")) == "local":
        mistakes.add(
            ("adapter", "driver"),
            f"cannot connect {workers} workers; allowed: redis (or leave it out), or start with 1 worker",
            "local",
        )
    if get(document, ("cache", "driver")) == "memory":
        mistakes.add(
            ("cache", "driver"),
            f"would give each of {workers} workers a cache of its own; allowed: redis (or leave it out), none",
            "memory",
        )


def _cluster_health(document: Document, mistakes: Mistakes) -> None:
    path: Path = ("adapter", "cluster_health")
    given = get(document, path) or {}
    if not isinstance(given, dict):
        return
    heartbeat = to_whole(given.get("heartbeat_interval_ms", ClusterHealth().heartbeat_interval_ms))
    timeout = to_whole(given.get("node_timeout_ms", ClusterHealth().node_timeout_ms))
    if heartbeat is not None and timeout is not None and timeout < 2 * heartbeat:
        mistakes.add(
            (*path, "node_timeout_ms"),
            f"is too short; allowed: at least twice heartbeat_interval_ms, which is {heartbeat}",
            timeout,
        )


def _redis(document: Document, mistakes: Mistakes) -> None:
    """Values that only mean something together with others, or not together with others."""
    path: Path = ("database", "redis")
    given = get(document, path)
    if not isinstance(given, dict):
        return
    nodes, sentinels = given.get("cluster_nodes"), given.get("sentinels")
    if nodes and sentinels:
        mistakes.add((*path, "sentinels"), "cannot be combined with database.redis.cluster_nodes")
    if nodes and to_whole(given.get("db", 0)):
        mistakes.add((*path, "db"), "cannot be chosen in a cluster; allowed: 0", given["db"])
    if sentinels and given.get("url"):
        mistakes.add((*path, "url"), "cannot be combined with database.redis.sentinels", given["url"])
    if nodes or sentinels or given.get("host") is not None or given.get("url") is not None:
        return
    if given.get("sentinel_password"):
        mistakes.add((*path, "sentinel_password"), "needs database.redis.sentinels", given["sentinel_password"])
    default = RedisConfig()
    for key in ("port", "db", "username", "password", "tls", "tls_ca_path", "tls_cert_path", "tls_key_path"):
        value = given.get(key)
        unset = getattr(default, key)
        means = to_flag(value) if isinstance(unset, bool) else to_whole(value) if isinstance(unset, int) else value
        if value in (None, "") or means == unset:
            continue
        mistakes.add((*path, key), "needs database.redis.host; without it the engine starts a Redis of its own", value)


def _tls_only(document: Document, mistakes: Mistakes) -> None:
    """An application that nobody could ever connect to."""
    if any(to_flag(get(document, ("ssl", key))) for key in ("enabled", "trust_forwarded_proto")):
        return
    if get(document, ("trusted_proxies",)):
        return
    for path, app in objects(document, APPS):
        if to_flag(app.get("tls_only")):
            mistakes.add(
                (*path, "tls_only"),
                "needs ssl.enabled or, behind a proxy that ends TLS, trusted_proxies",
                app["tls_only"],
            )


def _proxies(document: Document, mistakes: Mistakes) -> None:
    """Whose word is taken is said in one way."""
    trusted = get(document, ("trusted_proxies",))
    path: Path = ("proxy_protocol",)
    if to_flag(get(document, (*path, "enabled"))) and not (get(document, (*path, "trusted")) or trusted):
        mistakes.add((*path, "enabled"), "needs proxy_protocol.trusted or trusted_proxies, the balancers' networks")
    for limit in ("api_rate_limit", "websocket_rate_limit") if trusted else ():
        hops: Path = ("rate_limiter", limit, "trust_hops")
        if to_whole(get(document, hops)):
            mistakes.add(hops, "cannot be combined with trusted_proxies, which says it better", get(document, hops))


def _databases(document: Document, mistakes: Mistakes) -> None:
    dynamodb: Path = ("database", "dynamodb")
    key, secret = "aws_access_key_id", "aws_secret_access_key"
    for given, other in ((key, secret), (secret, key)):
        if get(document, (*dynamodb, given)) and not get(document, (*dynamodb, other)):
            mistakes.add((*dynamodb, other), f"is missing; {given} is given")


def _unix_sockets(document: Document, mistakes: Mistakes) -> None:
    paths: list[Path] = [("http_api", "unix_socket")]
    if to_flag(get(document, ("unix_socket", "enabled"))):
        paths.append(("unix_socket", "path"))
    values = [get(document, path) for path in paths]
    for path, value in zip(paths, values, strict=True):
        if not isinstance(value, str) or not value:
            continue
        if not os.path.isabs(value):
            mistakes.add(path, "is not an absolute path", value)
        elif len(os.fsencode(value)) > MAX_SOCKET_PATH_BYTES:
            mistakes.add(path, f"is too long; allowed: {MAX_SOCKET_PATH_BYTES} bytes", value)
    if len(values) == 2 and values[0] and values[0] == values[1]:
        mistakes.add(paths[0], "is that of unix_socket.path; allowed: another one, or null", values[0])


def _api_address(document: Document, mistakes: Mistakes) -> None:
    """What is said of a port that there is not."""
    path: Path = ("http_api",)
    for key in ("host", "tls"):
        value = get(document, (*path, key))
        if value is not None and get(document, (*path, "port")) is None:
            mistakes.add((*path, key), "needs http_api.port", value)
    if to_flag(get(document, (*path, "tls"))) and not to_flag(get(document, ("ssl", "enabled"))):
        mistakes.add((*path, "tls"), "needs ssl.enabled", get(document, (*path, "tls")))


def _ports(document: Document, mistakes: Mistakes) -> None:
    """One that two want. Of the main port, which all know, the other one is said to be wrong."""
    main = get(document, ("host",))
    wanted: list[tuple[Path, Any, Any]] = []
    if not to_flag(get(document, ("unix_socket", "enabled"))):
        wanted.append((("port",), main, Config().port))
    if to_flag(get(document, ("metrics", "enabled"))) is not False:
        wanted.append((("metrics", "port"), get(document, ("metrics", "host")), MetricsConfig().port))
    wanted.append((("http_api", "port"), get(document, ("http_api", "host")) or main, None))
    if get(document, ("console", "password")):
        console = ConsoleConfig()
        wanted.append((("console", "port"), get(document, ("console", "host")) or console.host, console.port))
    taken: list[tuple[str, int, Any]] = []
    for path, host, default in wanted:
        given = get(document, path)
        port = to_whole(default if given is None else given)
        name = ".".join(map(str, path))
        whose = next((each for each, number, at in taken if number == port and _overlap(at, host)), None)
        if port and whose is not None:
            none = ", or null for none" if default is None else ""
            mistakes.add(path, f"is that of {whose}; allowed: another one{none}", port)
        elif port:
            taken.append((name, port, host))


def _overlap(one: Any, other: Any) -> bool:
    """Whether an address is, or may be, part of the other."""
    return one == other or one in _EVERYWHERE or other in _EVERYWHERE


def _libraries(document: Document, mistakes: Mistakes) -> None:
    """What goes to AWS or to a database needs a library that a plain installation leaves out."""
    drivers: tuple[Path, ...] = (("queue", "driver"), ("app_manager", "driver"))
    for path in drivers:
        word = get(document, path)
        module, extra = LIBRARIES.get(word, ("", "")) if isinstance(word, str) else ("", "")
        if module and not _installed(module):
            mistakes.add(path, _NEEDS.format(extra), word)
    if _installed("aiobotocore"):
        return
    needs = _NEEDS.format("aws")
    for path, app in objects(document, APPS):
        for inner, webhook in objects(app, ("webhooks",)):
            for key in ("lambda", "lambda_function"):
                if webhook.get(key) is not None:
                    mistakes.add((*path, *inner, key), needs)


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _distinct(document: Document, key: str, mistakes: Mistakes) -> None:
    seen: dict[str, Path] = {}
    for path, app in objects(document, APPS):
        value = app.get(key)
        if isinstance(value, str | int):
            first = seen.setdefault(str(value), path)
            if first != path:
                mistakes.add((*path, key), f"is already the {key} of {mistakes.name(first)}", value)


def _history_rule(rule: Document, path: Path, mistakes: Mistakes) -> None:
    """Of what is not kept nothing can be replayed."""
    replay = rule.get("replay")
    if not isinstance(replay, dict):
        return
    given = {name: value for name in ("count", "seconds") if (value := replay.get(name)) is not None}
    if not given:
        mistakes.add((*path, "replay"), "says nothing; allowed: count, seconds, or both")
    for name, value in given.items():
        asked, kept = to_whole(value), to_whole(rule.get(name, HistoryRuleConfig.model_fields[name].default))
        if asked is not None and kept is not None and asked > kept:
            message = f"is more than is kept; allowed: up to {kept}, as {name} of the rule says"
            mistakes.add((*path, "replay", name), message, value)


def _presence_rule(rule: Document, path: Path, mistakes: Mistakes) -> None:
    """Nobody is a member elsewhere."""
    channels = rule.get("channels")
    if isinstance(channels, str):
        start, star, _ = channels.partition("*")
        if not (start.startswith("presence-") or (star and "presence-".startswith(start))):
            message = "fits no presence channel; allowed: presence-room-*, or *"
            mistakes.add((*path, "channels"), message, channels)


def _webhook(webhook: dict[str, Any], path: Path, mistakes: Mistakes) -> None:
    url, function, short, headers = (webhook.get(key) for key in ("url", "lambda", "lambda_function", "headers"))
    named = isinstance(function, dict) and function.get("function_name") is not None
    if url is not None and (function is not None or short is not None):
        other = "lambda_function" if function is None else "lambda"
        mistakes.add(path, f"has both url and {other}; allowed: one of them")
    elif url is None and function is None and short is None:
        mistakes.add(path, "has no target; allowed: one of url, lambda, lambda_function")
    elif named and short is not None:
        mistakes.add(path, "names a function in both lambda and lambda_function; allowed: one of them")
    elif isinstance(function, dict) and not named and short is None:
        mistakes.add((*path, "lambda", "function_name"), "is missing")
    if isinstance(url, str) and "@" in url.partition("//")[2].partition("/")[0] and isinstance(headers, dict):
        for name in headers:
            if name.lower() == "authorization":
                mistakes.add((*path, "headers", name), "cannot be sent beside the user and password of the url")
    if webhook.get("event_types") == []:
        mistakes.add((*path, "event_types"), "is empty; name at least one event type")
