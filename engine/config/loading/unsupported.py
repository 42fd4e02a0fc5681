"""Options of other servers that this engine does not have, and what becomes of each (D-13).

The one table of them, applied by `load.py`. An option that only tunes their inside is passed over, with a warning that
says why. One that would silently change what is delivered, where, or to whom, stops the start and says what to write
instead.
"""

from __future__ import annotations

from typing import Any

from engine.config.base import to_flag, to_whole
from engine.config.loading.default_app import APPS
from engine.config.loading.document import Document, get, leaves, objects, says_nothing
from engine.config.loading.mistakes import Mistakes
from engine.config.option_path import Path, dotted
from engine.config.redis import RedisOptions

_APP = "app_manager.array.apps[]"
_HOOK = f"{_APP}.webhooks[]"
_NAMESPACE = f"{_APP}.channel_namespaces[]"
_ONE_REDIS = (
    "is not that of database.redis, the one Redis that every part of this engine uses: "
    "write its address into database.redis.url"
)
_DENIAL = (
    "would be passed over and let clients in; use private channels, whose subscriptions your server signs, and "
    "enable_client_messages"
)
_FILTER = "is looked for inside filter only; write it there"

#: Why -> the options that are passed over for that reason. Everything below an option goes with it.
_PASSED_OVER: dict[str, tuple[str, ...]] = {
    "workers and nodes find and count each other by themselves": (
        "instance",
        "cleanup",
        "cluster_health",
        "adapter.enable_socket_counting",
        "adapter.aggregate_counts",
        "adapter.fast_presence_transitions",
        "adapter.buffer_multiplier_per_cpu",
        "adapter.redis.requests_timeout",
        "adapter.cluster_health.enabled",
        "adapter.cluster_health.cleanup_interval_ms",
    ),
    "a Redis Cluster is one of the forms of database.redis, and has adapter.redis.prefix": (
        "adapter.cluster",
        "queue.redis_cluster",
    ),
    "what database.redis says of TLS holds for the Sentinels as well": ("database.redis.sentinel_tls",),
    "only redis connects workers and nodes": tuple(
        f"adapter.{name}" for name in ("nats", "pulsar", "rabbitmq", "google_pubsub", "kafka", "iggy", "omq")
    ),
    "webhooks wait in memory, Redis or SQS only": tuple(
        f"queue.{name}" for name in ("nats", "pulsar", "rabbitmq", "google_pubsub", "kafka", "iggy", "sns")
    ),
    "no application is kept there": (
        "app_manager.scylladb",
        "database.scylladb",
        "database.surrealdb",
    ),
    "applications are read every app_manager.refresh_ms, over one connection": (
        "database_pooling",
        *(
            f"database.{driver}.{name}"
            for driver in ("mysql", "postgres")
            for name in (
                "connection_pool_size",
                "pool_min",
                "pool_max",
                "cache_ttl",
                "cache_cleanup_interval",
                "cache_max_capacity",
            )
        ),
    ),
    "the last event of a cache channel is kept for channel_limits.cache_ttl": (
        "cache.memory.ttl",
        "cache.memory.cleanup_interval",
    ),
    "leases, time-outs and the memory of webhook queues are fixed; webhooks.retry says how often is tried": (
        "queue.reliability",
        "queue.redis.response_timeout_ms",
    ),
    "what waits for one client is bounded by websocket.max_backpressure, and whoever does not read is cut off": (
        "websocket.max_messages",
        "websocket.max_bytes",
        "websocket.disconnect_on_buffer_full",
        "websocket.write_buffer_size",
    ),
    "incoming messages are bounded by websocket_max_payload_kb": (
        "websocket.max_message_size",
        "websocket.max_frame_size",
    ),
    "silent clients are found by activity_timeout": (
        "websocket.auto_ping",
        "websocket.ping_interval",
        "websocket.idle_timeout",
    ),
    "no Pusher client asks for compression": ("websocket.compression",),
    "health checks have a time-out of their own": ("health_check_timeout_ms",),
    "it names an environment and does nothing": ("mode",),
    "the metrics of all workers are read over HTTP at metrics.port": ("metrics.tcp_exporter",),
    "new connections are refused where websocket.memory_threshold is set, by the memory of the container": (
        "http_api.accept_traffic.enabled",
        "http_api.accept_traffic.memory_limit_bytes",
        "http_api.accept_traffic.sample_interval_ms",
    ),
    "a proxy in front redirects from http": ("ssl.redirect_http", "ssl.http_port"),
    "requests are counted by address": (
        "rate_limiter.api_rate_limit.identifier",
        "rate_limiter.websocket_rate_limit.identifier",
    ),
    "webhooks.settle_ms is how long the webhooks of a member wait for its return": (
        "presence.ungraceful_timeout_seconds",
    ),
    "traces are exported where the OTEL_... variables say so": ("opentelemetry", "telemetry"),
    "history is kept by rules of an application, see docs/history.md": tuple(
        f"{place}{name}" for place in ("", f"{_APP}.") for name in ("history", "presence_history")
    ),
    "it belongs to Sockudo's own protocol 2, which no Pusher client speaks": (
        "ably_compat",
        "ai_transport",
        "annotations",
        "connection_recovery",
        "delta_compression",
        "echo_control",
        "ephemeral",
        "event_name_filtering",
        "mcp",
        "push",
        "push_rules",
        "tag_filtering",
        "versioned_messages",
        "presence.update_rate_limit_per_member_per_second",
        "presence.v2_ungraceful_timeout_seconds",
        f"{_APP}.annotations_enabled",
        f"{_APP}.channel_delta_compression",
        f"{_APP}.connection_recovery",
    ),
    "names of channels are not checked by namespace; private channels are those that your server allows": (
        f"{_APP}.channel_namespaces",
    ),
    "client events are counted by the second, and too many are refused; message_rate_limit can close": (
        f"{_APP}.decay_seconds",
        f"{_APP}.terminate_on_limit",
    ),
    "idempotency is the same for every application": (f"{_APP}.idempotency",),
    "no such part of an application is known here": (f"{_APP}.policy",),
    "functions are reached by the usual AWS environment and endpoint_url": (f"{_HOOK}.lambda.client_options",),
}
#: Option -> why it is passed over.
IGNORED: dict[str, str] = {option: why for why, options in _PASSED_OVER.items() for option in options}
#: Objects in Sockudo's files, lists here: those are options of ours.
LISTS_OF_OURS = {f"{_APP}.history", f"{_APP}.presence_history"}
#: Option -> why it cannot be used. Where it says nothing (null, false, empty), or only names the one Redis again, it is
#: dropped without a word.
REFUSED: dict[str, str] = {
    "adapter.redis.redis_pub_options": _ONE_REDIS,
    "adapter.redis.redis_sub_options": _ONE_REDIS,
    "cache.redis.url_override": _ONE_REDIS,
    "queue.redis.url_override": _ONE_REDIS,
    "rate_limiter.redis.url_override": _ONE_REDIS,
    "database.redis.sentinel_username": (
        "is not supported by this engine (yet); give Sentinel's default user a password, and write it into "
        "database.redis.sentinel_password"
    ),
    "ssl.ca_path": "is not supported by this engine (yet); put the chain into ssl.cert_path",
    f"{_HOOK}.channel_prefix": _FILTER,
    f"{_HOOK}.channel_suffix": _FILTER,
    f"{_HOOK}.channel_pattern": _FILTER,
}
#: Refused where they say no, and otherwise passed over.
DENIALS: dict[str, str] = dict.fromkeys(
    (
        f"{_NAMESPACE}.allow_subscribe_for_client",
        f"{_NAMESPACE}.allow_publish_for_client",
        f"{_NAMESPACE}.allow_presence_for_client",
    ),
    _DENIAL,
)
#: Names that users are known to try -> where the option is.
MOVED: dict[str, str] = {
    "app_manager.apps": "app_manager.array.apps",
    "apps": "app_manager.array.apps",
    "redis": "database.redis",
    "log": "logging",
    "tls": "ssl",
}


def drop(document: Document, mistakes: Mistakes) -> list[str]:
    """Take all of these out of the document; a warning for each reason to pass something over."""
    _refuse_denials(document, mistakes)
    ignored: dict[str, list[str]] = {}
    _walk(document, (), "", mistakes, ignored, _address(get(document, ("database", "redis"))))
    return [f"passed over, {why}: {', '.join(options)}" for why, options in ignored.items()]


def _refuse_denials(document: Document, mistakes: Mistakes) -> None:
    for path, app in objects(document, APPS):
        for inner, namespace in objects(app, ("channel_namespaces",)):
            for option, why in DENIALS.items():
                name = option.rpartition(".")[2]
                if name in namespace and to_flag(namespace[name]) is not True and namespace[name] is not None:
                    mistakes.add((*path, *inner, name), why, namespace[name])


def _walk(
    value: Any,
    path: Path,
    pattern: str,
    mistakes: Mistakes,
    ignored: dict[str, list[str]],
    one_redis: RedisOptions | None,
) -> None:
    if isinstance(value, list):
        for index, item in enumerate(value):
            _walk(item, (*path, index), f"{pattern}[]", mistakes, ignored, one_redis)
    elif isinstance(value, dict):
        for key in list(value):
            here, name = (*path, key), f"{pattern}.{key}".removeprefix(".")
            if name in LISTS_OF_OURS and isinstance(value[key], list):
                _walk(value[key], here, name, mistakes, ignored, one_redis)
            elif name in IGNORED:
                ignored.setdefault(IGNORED[name], []).extend(dict.fromkeys(_as_written(value.pop(key), here, mistakes)))
            elif name in REFUSED:
                found = value.pop(key)
                said = {"url": found} if isinstance(found, str) else found
                if not says_nothing(found) and (one_redis is None or _address(said) != one_redis):
                    mistakes.add(here, REFUSED[name], found)
            else:
                _walk(value[key], here, name, mistakes, ignored, one_redis)


def _address(given: Any) -> RedisOptions | None:
    """The one server that is given by its address or by its parts; None where it is no server, or not to be read."""
    if not isinstance(given, dict):
        return None
    url, host = given.get("url"), given.get("host")
    try:
        if isinstance(url, str):
            return RedisOptions.parse(url)
    except ValueError:
        return None
    port, db = to_whole(given.get("port", 6379)), to_whole(given.get("db", 0))
    if given.get("sentinels") or given.get("cluster_nodes") or not isinstance(host, str) or port is None or db is None:
        return None
    tls = to_flag(given.get("tls", False)) is True
    return RedisOptions(host, port, db, given.get("username") or None, given.get("password") or None, tls)


def _as_written(value: Any, path: Path, mistakes: Mistakes) -> list[str]:
    """`path`, or the variables that set something below it when the file says nothing of it."""
    variables = [written for place, written in mistakes.written.items() if place[: len(path)] == path]
    return variables if variables and len(leaves(value)) == len(variables) else [mistakes.name(path), *variables]


def moved(path: Path) -> str | None:
    """Where the option is that the user looked for at `path`."""
    return MOVED.get(dotted(path))
