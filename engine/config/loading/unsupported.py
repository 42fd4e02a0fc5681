"""Options of other servers that this engine does not have, and what becomes of each (D-13).

The one table of them, applied by `load.py`. An option that only tunes their inside is ignored and named in a warning.
One that would silently change what is delivered, where, or to whom, stops the start instead.
"""

from __future__ import annotations

from typing import Any

from engine.config.loading.document import Document, get
from engine.config.loading.mistakes import Mistakes
from engine.config.option_path import Path, dotted

_APP = "app_manager.array.apps[]"
_ONE_REDIS = "is not supported by this engine; every part uses the one Redis of database.redis"

#: Option -> what to use instead ("" for nothing). Everything below it is ignored with it.
IGNORED: dict[str, str] = {
    "mode": "",
    "instance": "",
    "health_check_timeout_ms": "",
    "adapter.enable_socket_counting": "",
    "adapter.buffer_multiplier_per_cpu": "",
    "adapter.redis.requests_timeout": "",
    "adapter.cluster": "adapter.redis.prefix",
    "adapter.nats": "",
    "adapter.pulsar": "",
    "adapter.rabbitmq": "",
    "adapter.google_pubsub": "",
    "adapter.kafka": "",
    "adapter.iggy": "",
    "adapter.cluster_health.enabled": "",
    "adapter.cluster_health.cleanup_interval_ms": "",
    "cache.memory.ttl": "channel_limits.cache_ttl",
    "cache.memory.cleanup_interval": "",
    "database.mysql.connection_pool_size": "",
    "database.mysql.pool_min": "",
    "database.mysql.pool_max": "",
    "database.mysql.cache_ttl": "",
    "database.mysql.cache_cleanup_interval": "",
    "database.mysql.cache_max_capacity": "",
    "database.postgres.connection_pool_size": "",
    "database.postgres.pool_min": "",
    "database.postgres.pool_max": "",
    "database.postgres.cache_ttl": "",
    "database.postgres.cache_cleanup_interval": "",
    "database.postgres.cache_max_capacity": "",
    "database.scylladb": "",
    "database.surrealdb": "",
    "database_pooling": "",
    "queue.redis_cluster": "",
    "queue.iggy": "",
    "rate_limiter.api_rate_limit.identifier": "",
    "rate_limiter.websocket_rate_limit.identifier": "",
    "ssl.redirect_http": "",
    "ssl.http_port": "",
    "websocket.max_messages": "websocket.max_backpressure",
    "websocket.max_bytes": "websocket.max_backpressure",
    "websocket.disconnect_on_buffer_full": "",
    "websocket.max_message_size": "websocket_max_payload_kb",
    "websocket.max_frame_size": "websocket_max_payload_kb",
    "websocket.write_buffer_size": "",
    "websocket.auto_ping": "activity_timeout",
    "websocket.ping_interval": "activity_timeout",
    "websocket.idle_timeout": "activity_timeout",
    "websocket.compression": "",
    "webhooks.retry.max_elapsed_time_ms": "webhooks.retry.max_attempts",
    "cleanup": "",
    "delta_compression": "",
    "tag_filtering": "",
    "versioned_messages": "",
    "annotations": "",
    "ephemeral": "",
    "echo_control": "",
    "event_name_filtering": "",
    "connection_recovery": "",
    "history": "",
    "presence_history": "",
    "push": "",
    f"{_APP}.policy": "",
    f"{_APP}.decay_seconds": "",
    f"{_APP}.terminate_on_limit": "",
    f"{_APP}.idempotency": "",
    f"{_APP}.connection_recovery": "",
    f"{_APP}.channel_delta_compression": "",
    f"{_APP}.webhooks[].retry.max_elapsed_time_ms": "max_attempts",
    f"{_APP}.webhooks[].lambda.client_options": "endpoint_url",
}
#: Option -> why it cannot be used. Where it says nothing (null, false, empty), or only names the one Redis again, it is
#: dropped without a word.
REFUSED: dict[str, str] = {
    "adapter.redis.redis_pub_options": _ONE_REDIS,
    "adapter.redis.redis_sub_options": _ONE_REDIS,
    "cache.redis.url_override": _ONE_REDIS,
    "queue.redis.url_override": _ONE_REDIS,
    "rate_limiter.redis.url_override": _ONE_REDIS,
    "ssl.ca_path": "is not supported by this engine (yet); put the chain into ssl.cert_path",
    f"{_APP}.webhooks[].filter.channel_namespace": "is not supported by this engine (yet); use channel_prefix",
    f"{_APP}.webhooks[].filter.channel_namespaces": "is not supported by this engine (yet); use channel_pattern",
}
#: Names that users are known to try -> where the option is.
MOVED: dict[str, str] = {
    "app_manager.apps": "app_manager.array.apps",
    "appManager": "app_manager",
    "apps": "app_manager.array.apps",
    "redis": "database.redis",
    "log": "logging",
    "tls": "ssl",
}


def drop(document: Document, mistakes: Mistakes) -> str | None:
    """Take all of these out of the document; the one warning about what was ignored, if anything was."""
    ignored: list[str] = []
    one_redis = get(document, ("database", "redis", "url"))
    _walk(document, (), "", mistakes, ignored, one_redis)
    return f"ignored, this engine has no such option: {', '.join(ignored)}" if ignored else None


def _walk(value: Any, path: Path, pattern: str, mistakes: Mistakes, ignored: list[str], one_redis: Any) -> None:
    if isinstance(value, list):
        for index, item in enumerate(value):
            _walk(item, (*path, index), f"{pattern}[]", mistakes, ignored, one_redis)
    elif isinstance(value, dict):
        for key in list(value):
            here, name = (*path, key), f"{pattern}.{key}".removeprefix(".")
            if name in IGNORED:
                instead = f" (see {IGNORED[name]})" if IGNORED[name] else ""
                ignored += [written + instead for written in _as_written(value.pop(key), here, mistakes)]
            elif name in REFUSED:
                found = value.pop(key)
                if not _says_nothing(found) and found not in (one_redis, {"url": one_redis}):
                    mistakes.add(here, REFUSED[name], found)
            else:
                _walk(value[key], here, name, mistakes, ignored, one_redis)


def _as_written(value: Any, path: Path, mistakes: Mistakes) -> list[str]:
    """`path`, or the variables that set something below it when the file says nothing of it."""
    variables = [written for place, written in mistakes.written.items() if place[: len(path)] == path]
    return variables if variables and _leaves(value) == len(variables) else [mistakes.name(path), *variables]


def _leaves(value: Any) -> int:
    return sum(map(_leaves, value.values())) if isinstance(value, dict) else 1


def _says_nothing(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_says_nothing(item) for item in value.values())
    return value in (None, False, "", "false", "0", 0) or value == []


def moved(path: Path) -> str | None:
    """Where the option is that the user looked for at `path`."""
    return MOVED.get(dotted(path))
