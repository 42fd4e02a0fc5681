"""The environment variables that set an option, and the one that each of them sets (docs/protocol.md 7.2, K-6).

A variable wins over the file; an empty one counts as not set. Checks no value but what a list or a flag needs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from engine.config.loading.document import Document, put
from engine.config.loading.mistakes import Mistakes
from engine.config.option_path import Path

#: Variable -> option. Where an option has two, the one further down is the older name and loses.
VARIABLES: dict[str, str] = {
    "HOST": "host",
    "PORT": "port",
    "DEBUG": "debug",
    "DEBUG_MODE": "debug",
    "PATH_PREFIX": "path_prefix",
    "ACTIVITY_TIMEOUT": "activity_timeout",
    "SHUTDOWN_GRACE_PERIOD": "shutdown_grace_period",
    "SHUTDOWN_DELAY_MS": "shutdown.delay_ms",
    "SHUTDOWN_PACE_PER_SECOND": "shutdown.pace_per_second",
    "USER_AUTHENTICATION_TIMEOUT": "user_authentication_timeout",
    "TRUSTED_PROXIES": "trusted_proxies",
    "PROXY_PROTOCOL_ENABLED": "proxy_protocol.enabled",
    "PROXY_PROTOCOL_TRUSTED": "proxy_protocol.trusted",
    "WEBSOCKET_MAX_PAYLOAD_KB": "websocket_max_payload_kb",
    "SOCKUDO_MAX_CONNECTIONS": "max_connections",
    "HEALTH_CHECK_TIMEOUT_MS": "health_check_timeout_ms",
    "INSTANCE_PROCESS_ID": "instance.process_id",
    "ADAPTER_DRIVER": "adapter.driver",
    "ADAPTER_ENABLE_SOCKET_COUNTING": "adapter.enable_socket_counting",
    "ADAPTER_FALLBACK_TO_LOCAL": "adapter.fallback_to_local",
    "ADAPTER_BUFFER_MULTIPLIER_PER_CPU": "adapter.buffer_multiplier_per_cpu",
    "CLUSTER_HEALTH_ENABLED": "adapter.cluster_health.enabled",
    "CLUSTER_HEALTH_HEARTBEAT_INTERVAL": "adapter.cluster_health.heartbeat_interval_ms",
    "CLUSTER_HEALTH_NODE_TIMEOUT": "adapter.cluster_health.node_timeout_ms",
    "CLUSTER_HEALTH_CLEANUP_INTERVAL": "adapter.cluster_health.cleanup_interval_ms",
    "APP_MANAGER_DRIVER": "app_manager.driver",
    "CACHE_DRIVER": "cache.driver",
    "CACHE_REDIS_PREFIX": "cache.redis.prefix",
    "CACHE_REDIS_URL": "cache.redis.url_override",
    "CACHE_TTL_SECONDS": "cache.memory.ttl",
    "CACHE_CLEANUP_INTERVAL": "cache.memory.cleanup_interval",
    "CACHE_MAX_CAPACITY": "cache.memory.max_capacity",
    "HTTP_API_HOST": "http_api.host",
    "HTTP_API_PORT": "http_api.port",
    "HTTP_API_UNIX_SOCKET": "http_api.unix_socket",
    "HTTP_API_UNIX_SOCKET_MODE": "http_api.unix_socket_mode",
    "HTTP_API_TLS": "http_api.tls",
    "HTTP_API_USAGE_ENABLED": "http_api.usage_enabled",
    "HTTP_API_REQUEST_HEAD_LIMIT_IN_KB": "http_api.request_head_limit_in_kb",
    "HTTP_API_WITHOUT_PREFIX": "http_api.without_prefix",
    "CORS_CREDENTIALS": "cors.credentials",
    "CORS_ORIGINS": "cors.origin",
    "CORS_METHODS": "cors.methods",
    "CORS_HEADERS": "cors.allowed_headers",
    "REDIS_URL": "database.redis.url",
    "DATABASE_REDIS_HOST": "database.redis.host",
    "DATABASE_REDIS_PORT": "database.redis.port",
    "DATABASE_REDIS_DB": "database.redis.db",
    "DATABASE_REDIS_USERNAME": "database.redis.username",
    "DATABASE_REDIS_PASSWORD": "database.redis.password",
    "DATABASE_REDIS_KEY_PREFIX": "database.redis.key_prefix",
    "DATABASE_REDIS_SENTINEL_PASSWORD": "database.redis.sentinel_password",
    "REDIS_CLUSTER_NODES": "database.redis.cluster_nodes",
    "DATABASE_REDIS_CLUSTER_NODES": "database.redis.cluster_nodes",
    "DATABASE_MYSQL_HOST": "database.mysql.host",
    "DATABASE_MYSQL_PORT": "database.mysql.port",
    "DATABASE_MYSQL_USERNAME": "database.mysql.username",
    "DATABASE_MYSQL_USER": "database.mysql.username",
    "DATABASE_MYSQL_PASSWORD": "database.mysql.password",
    "DATABASE_MYSQL_DATABASE": "database.mysql.database",
    "DATABASE_MYSQL_TABLE_NAME": "database.mysql.table_name",
    "DATABASE_MYSQL_POOL_MIN": "database.mysql.pool_min",
    "DATABASE_MYSQL_POOL_MAX": "database.mysql.pool_max",
    "DATABASE_POSTGRES_HOST": "database.postgres.host",
    "DATABASE_POSTGRES_PORT": "database.postgres.port",
    "DATABASE_POSTGRES_USERNAME": "database.postgres.username",
    "DATABASE_POSTGRES_USER": "database.postgres.username",
    "DATABASE_POSTGRES_PASSWORD": "database.postgres.password",
    "DATABASE_POSTGRES_DATABASE": "database.postgres.database",
    "DATABASE_POSTGRES_TABLE_NAME": "database.postgres.table_name",
    "DATABASE_POSTGRES_POOL_MIN": "database.postgres.pool_min",
    "DATABASE_POSTGRES_POOL_MAX": "database.postgres.pool_max",
    "DATABASE_SQLITE_PATH": "database.sqlite.path",
    "DATABASE_SQLITE_TABLE_NAME": "database.sqlite.table_name",
    "DATABASE_DYNAMODB_REGION": "database.dynamodb.region",
    "DATABASE_DYNAMODB_TABLE_NAME": "database.dynamodb.table_name",
    "DATABASE_DYNAMODB_ENDPOINT_URL": "database.dynamodb.endpoint_url",
    "DATABASE_POOLING_ENABLED": "database_pooling.enabled",
    "DATABASE_POOL_MIN": "database_pooling.min",
    "DATABASE_POOL_MAX": "database_pooling.max",
    "DATABASE_CONNECTION_POOL_SIZE": "database_pooling.size",
    "QUEUE_DRIVER": "queue.driver",
    "QUEUE_REDIS_CONCURRENCY": "queue.redis.concurrency",
    "QUEUE_REDIS_PREFIX": "queue.redis.prefix",
    "QUEUE_REDIS_URL": "queue.redis.url_override",
    "QUEUE_SQS_REGION": "queue.sqs.region",
    "QUEUE_SQS_QUEUE_URL_PREFIX": "queue.sqs.queue_url_prefix",
    "QUEUE_SQS_VISIBILITY_TIMEOUT": "queue.sqs.visibility_timeout",
    "QUEUE_SQS_MAX_MESSAGES": "queue.sqs.max_messages",
    "QUEUE_SQS_WAIT_TIME_SECONDS": "queue.sqs.wait_time_seconds",
    "QUEUE_SQS_CONCURRENCY": "queue.sqs.concurrency",
    "QUEUE_SQS_FIFO": "queue.sqs.fifo",
    "QUEUE_SQS_MESSAGE_GROUP_ID": "queue.sqs.message_group_id",
    "QUEUE_SQS_ENDPOINT_URL": "queue.sqs.endpoint_url",
    "RATE_LIMITER_ENABLED": "rate_limiter.enabled",
    "RATE_LIMITER_DRIVER": "rate_limiter.driver",
    "RATE_LIMITER_API_MAX_REQUESTS": "rate_limiter.api_rate_limit.max_requests",
    "RATE_LIMITER_API_WINDOW_SECONDS": "rate_limiter.api_rate_limit.window_seconds",
    "RATE_LIMITER_API_TRUST_HOPS": "rate_limiter.api_rate_limit.trust_hops",
    "RATE_LIMITER_WS_MAX_REQUESTS": "rate_limiter.websocket_rate_limit.max_requests",
    "RATE_LIMITER_WS_WINDOW_SECONDS": "rate_limiter.websocket_rate_limit.window_seconds",
    "RATE_LIMITER_WS_TRUST_HOPS": "rate_limiter.websocket_rate_limit.trust_hops",
    "RATE_LIMITER_WEBSOCKET_MAX_REQUESTS": "rate_limiter.websocket_rate_limit.max_requests",
    "RATE_LIMITER_WEBSOCKET_WINDOW_SECONDS": "rate_limiter.websocket_rate_limit.window_seconds",
    "RATE_LIMITER_WEBSOCKET_TRUST_HOPS": "rate_limiter.websocket_rate_limit.trust_hops",
    "RATE_LIMITER_REDIS_PREFIX": "rate_limiter.redis.prefix",
    "METRICS_ENABLED": "metrics.enabled",
    "METRICS_DRIVER": "metrics.driver",
    "METRICS_HOST": "metrics.host",
    "METRICS_PORT": "metrics.port",
    "METRICS_PROMETHEUS_PREFIX": "metrics.prometheus.prefix",
    "PROMETHEUS_METRICS_PREFIX": "metrics.prometheus.prefix",
    "CONSOLE_HOST": "console.host",
    "CONSOLE_PORT": "console.port",
    "CONSOLE_PASSWORD": "console.password",
    "SSL_ENABLED": "ssl.enabled",
    "SSL_CERT_PATH": "ssl.cert_path",
    "SSL_KEY_PATH": "ssl.key_path",
    "SSL_PASSPHRASE": "ssl.passphrase",
    "SSL_CA_PATH": "ssl.ca_path",
    "SSL_REDIRECT_HTTP": "ssl.redirect_http",
    "SSL_HTTP_PORT": "ssl.http_port",
    "UNIX_SOCKET_ENABLED": "unix_socket.enabled",
    "UNIX_SOCKET_PATH": "unix_socket.path",
    "UNIX_SOCKET_PERMISSION_MODE": "unix_socket.permission_mode",
    "WEBSOCKET_MAX_BACKPRESSURE": "websocket.max_backpressure",
    "WEBSOCKET_MAX_CONNECTION_AGE": "websocket.max_connection_age",
    "WEBSOCKET_MAX_FRAMES_PER_SECOND": "websocket.max_frames_per_second",
    "WEBSOCKET_MAX_CONNECTIONS_PER_ADDRESS": "websocket.max_connections_per_address",
    "WEBSOCKET_MEMORY_THRESHOLD": "websocket.memory_threshold",
    "WEBSOCKET_MAX_MESSAGES": "websocket.max_messages",
    "WEBSOCKET_MAX_BYTES": "websocket.max_bytes",
    "WEBSOCKET_DISCONNECT_ON_BUFFER_FULL": "websocket.disconnect_on_buffer_full",
    "WEBSOCKET_MAX_MESSAGE_SIZE": "websocket.max_message_size",
    "WEBSOCKET_MAX_FRAME_SIZE": "websocket.max_frame_size",
    "WEBSOCKET_WRITE_BUFFER_SIZE": "websocket.write_buffer_size",
    "WEBSOCKET_AUTO_PING": "websocket.auto_ping",
    "WEBSOCKET_PING_INTERVAL": "websocket.ping_interval",
    "WEBSOCKET_IDLE_TIMEOUT": "websocket.idle_timeout",
    "WEBSOCKET_COMPRESSION": "websocket.compression",
    "WEBHOOK_BATCHING_ENABLED": "webhooks.batching.enabled",
    "WEBHOOK_BATCHING_DURATION": "webhooks.batching.duration",
    "WEBHOOK_BATCHING_SIZE": "webhooks.batching.size",
    "WEBHOOK_SIGNATURE_FORMAT": "webhooks.signature_format",
    "WEBHOOK_SETTLE_MS": "webhooks.settle_ms",
    "LOG_COLORS_ENABLED": "logging.colors_enabled",
    "LOG_INCLUDE_TARGET": "logging.include_target",
    "LOG_OUTPUT_FORMAT": "logging.output_format",
}


#: What Kubernetes sets for a service called `metrics` in every pod beside it: METRICS_PORT=tcp://10.0.0.7:9601.
_SERVICE = re.compile(r"(?:tcp|udp|sctp)://[^/?#\s]+:[0-9]{1,5}\Z")


def without_services(environ: Mapping[str, str]) -> tuple[dict[str, str], str | None]:
    """The variables that were set for this engine, and the one warning about those that Kubernetes did."""
    services = sorted(name for name, value in environ.items() if name in VARIABLES and _SERVICE.match(value))
    kept = {name: value for name, value in environ.items() if name not in services}
    if not services:
        return kept, None
    return kept, (
        f"passed over, they hold what Kubernetes sets for a service of that name: {', '.join(services)} "
        "(enableServiceLinks: false keeps them out of the pod)"
    )


def apply(document: Document, environ: Mapping[str, str], mistakes: Mistakes) -> None:
    """Write every variable that is set into the document."""
    for name, option in reversed(VARIABLES.items()):
        value = environ.get(name, "")
        path: Path = tuple(option.split("."))
        if value and put(document, path, value):
            mistakes.written[path] = f"{option} (environment variable {name})"
