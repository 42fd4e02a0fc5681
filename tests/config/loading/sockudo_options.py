"""Every option that Sockudo 3 to 5 know, each with what becomes of it here; no tests.

Done: the value takes effect. Passed over: a warning says why. Refused: the start stops and says what to write instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

Verdict = Literal["done", "passed over", "refused"]


class Row(NamedTuple):
    """:param value: another one than the default, where it is done. :param beside: what has to be said with it."""

    option: str
    verdict: Verdict
    value: Any = 1
    beside: dict[str, Any] = {}  # noqa: RUF012 - never changed


APP = "app_manager.array.apps[]"
HOOK = f"{APP}.webhooks[]"
CLUSTER = {"database.redis.cluster.nodes": ["h:7000"]}
REDIS = {"database.redis.host": "h"}
SENTINELS = {"database.redis.sentinels": ["h:26379"]}
TLS_SENTINELS = SENTINELS | {"database.redis.tls": True}
PEM = str(Path(__file__).parents[2] / "support" / "self_signed.pem")
TLS = {"ssl.enabled": True, "ssl.cert_path": PEM, "ssl.key_path": PEM}


def passed(prefix: str, names: str, value: Any = 1) -> list[Row]:
    return [Row(f"{prefix}{name}", "passed over", value) for name in names.split()]


_BROKERS = "prefix request_timeout_ms nodes_number"
_NATS = (
    "servers username password token connection_timeout_ms discovery_max_wait_ms discovery_idle_wait_ms "
    f"subscription_capacity client_capacity max_reconnects presence_sync_chunk_size no_echo {_BROKERS}"
)
_PULSAR, _RABBIT = f"url token {_BROKERS}", f"url connection_timeout_ms {_BROKERS}"
_GOOGLE = f"project_id emulator_host {_BROKERS}"
_KAFKA = f"brokers security_protocol sasl_mechanism sasl_username sasl_password partitions topic_epoch {_BROKERS}"
_IGGY = (
    "connection_string username password consumer_name stream topic_prefix queue_topic_prefix consumer_group_prefix "
    "request_timeout_ms poll_interval_ms poll_batch_size partitions_count partition_id auto_create start_from_latest "
    "nodes_number"
)
_POOL = "connection_pool_size pool_min pool_max cache_ttl cache_cleanup_interval cache_max_capacity"

SOCKUDO: list[Row] = [
    Row("host", "done", "127.0.0.1"),
    Row("port", "done", 7001),
    Row("debug", "done", True),
    Row("path_prefix", "done", "/ws"),
    Row("activity_timeout", "done", 77),
    Row("shutdown_grace_period", "done", 2),
    Row("user_authentication_timeout", "done", 60),
    Row("websocket_max_payload_kb", "done", 32),
    Row("max_connections", "done", 9),
    *passed("", "mode health_check_timeout_ms instance.process_id"),
    # adapter
    Row("adapter.driver", "done", "redis"),
    Row("adapter.fallback_to_local", "done", False),
    Row("adapter.redis.prefix", "done", "p:"),
    Row("adapter.redis.redis_pub_options", "refused", {"url": "redis://other"}),
    Row("adapter.redis.redis_sub_options", "refused", {"url": "redis://other"}),
    Row("adapter.redis.cluster_mode", "done", True, REDIS),
    Row("adapter.cluster.nodes", "done", ["redis://h:7000"]),
    Row("adapter.cluster_health.heartbeat_interval_ms", "done", 2_000),
    Row("adapter.cluster_health.node_timeout_ms", "done", 30_000),
    *passed("adapter.redis.", "requests_timeout"),
    *passed("adapter.cluster.", "prefix request_timeout_ms use_connection_manager use_sharded_pubsub tls"),
    *passed("adapter.cluster_health.", "enabled cleanup_interval_ms"),
    *passed("cluster_health.", "enabled heartbeat_interval_ms node_timeout_ms cleanup_interval_ms"),
    *passed(
        "adapter.",
        "buffer_multiplier_per_cpu enable_socket_counting aggregate_counts fast_presence_transitions",
    ),
    *passed("adapter.nats.", _NATS),
    *passed("adapter.pulsar.", _PULSAR),
    *passed("adapter.rabbitmq.", _RABBIT),
    *passed("adapter.google_pubsub.", _GOOGLE),
    *passed("adapter.kafka.", _KAFKA),
    *passed("adapter.iggy.", _IGGY),
    *passed("adapter.omq.", f"bind_endpoint connect_endpoints io_threads send_hwm recv_hwm {_BROKERS}"),
    *(
        Row("adapter.driver", "refused", word)
        for word in ("nats", "pulsar", "rabbitmq", "google-pubsub", "kafka", "iggy", "omq")
    ),
    # applications
    Row("app_manager.driver", "done", "mysql"),
    Row("app_manager.driver", "refused", "scylladb"),
    Row("app_manager.driver", "refused", "surrealdb"),
    Row("app_manager.cache.enabled", "done", False),
    Row("app_manager.cache.ttl", "done", 60),
    *passed("app_manager.scylladb.", "nodes keyspace table_name username password"),
    Row(f"{APP}.id", "done", "7"),
    Row(f"{APP}.key", "done", "k7"),
    Row(f"{APP}.secret", "done", "s7"),
    Row(f"{APP}.enabled", "done", False),
    *(
        Row(f"{APP}.{prefix}{name}", "done", 7)
        for prefix in ("", "policy.limits.")
        for name in [
            "max_connections",
            "max_backend_events_per_second",
            "max_client_events_per_second",
            "max_read_requests_per_second",
            "max_presence_members_per_channel",
            "max_presence_member_size_in_kb",
            "max_channel_name_length",
            "max_event_channels_at_once",
            "max_event_name_length",
            "max_event_payload_in_kb",
            "max_event_batch_size",
        ]
    ),
    *(
        Row(f"{APP}.{prefix}{name}", "done", True)
        for prefix in ("", "policy.features.")
        for name in ["enable_client_messages", "enable_user_authentication", "enable_watchlist_events"]
    ),
    *(
        Row(f"{APP}.{prefix}message_rate_limit.{name}", "done", value)
        for prefix in ("", "policy.limits.")
        for name, value in (("enabled", True), ("max_attempts", 7), ("decay_seconds", 7), ("terminate_on_limit", True))
    ),
    *(Row(f"{APP}.{prefix}allowed_origins", "done", ["https://a.example"]) for prefix in ("", "policy.channels.")),
    *(
        row
        for flat, limits, channels, policy in (
            (f"{APP}.",) * 4,
            (f"{APP}.", f"{APP}.policy.limits.", f"{APP}.policy.channels.", f"{APP}.policy."),
        )
        for row in (
            *passed(limits, "decay_seconds terminate_on_limit"),
            *passed(channels, "annotations_enabled channel_delta_compression"),
            *passed(policy, "idempotency.enabled idempotency.ttl_seconds"),
            *passed(policy, "connection_recovery.enabled connection_recovery.buffer_ttl_seconds"),
            *passed(policy, "connection_recovery.max_buffer_size"),
            *passed(policy, "history.enabled history.rewind_enabled history.retention_window_seconds"),
            *passed(policy, "history.max_messages_per_channel history.max_bytes_per_channel"),
            *passed(policy, "presence_history.enabled presence_history.retention_window_seconds"),
            *passed(policy, "presence_history.max_events_per_channel presence_history.max_bytes_per_channel"),
            *passed(f"{channels}channel_namespaces[].", "name channel_name_pattern max_channel_name_length"),
            *passed(f"{channels}channel_namespaces[].", "annotations_enabled allow_user_limited_channels"),
            *passed(f"{channels}channel_namespaces[].", "history presence_history"),
            *(
                Row(f"{channels}channel_namespaces[].allow_{deed}_for_client", verdict, value)
                for deed in ("subscribe", "publish", "presence")
                for verdict, value in (("refused", False), ("passed over", True))
            ),
        )
    ),
    # an application's webhooks
    Row(f"{HOOK}.url", "done", "https://b.example/hook"),
    Row(f"{HOOK}.lambda", "done", {"function_name": "f", "region": "eu-west-1"}),
    Row(f"{HOOK}.lambda_function", "done", "f"),
    Row(f"{HOOK}.event_types", "done", ["member_added"]),
    Row(f"{HOOK}.headers", "done", {"X-A": "1"}),
    Row(f"{HOOK}.request_timeout_ms", "done", 500),
    *(
        Row(f"{HOOK}.filter.{name}", "done", "a")
        for name in ("channel_prefix", "channel_suffix", "channel_pattern", "channel_namespace")
    ),
    Row(f"{HOOK}.filter.channel_namespaces", "done", ["a", "b"]),
    *(Row(f"{HOOK}.{name}", "refused", "a") for name in ("channel_prefix", "channel_suffix", "channel_pattern")),
    Row(f"{HOOK}.retry.enabled", "done", False),
    *(
        Row(f"{HOOK}.retry.{name}", "done", 7)
        for name in ("max_attempts", "max_elapsed_time_ms", "initial_backoff_ms", "max_backoff_ms")
    ),
    Row(f"{APP}.policy.webhooks", "done", [{"url": "https://b.example/hook", "event_types": ["member_added"]}]),
    # webhooks in general
    Row("webhooks.batching.enabled", "done", False),
    Row("webhooks.batching.duration", "done", 7),
    Row("webhooks.batching.size", "done", 7),
    Row("webhooks.request_timeout_ms", "done", 7),
    Row("webhooks.retry.enabled", "done", False),
    Row("webhooks.retry.max_attempts", "done", None, {"webhooks.retry.max_elapsed_time_ms": 300_000}),
    *(
        Row(f"webhooks.retry.{name}", "done", 7)
        for name in ("max_attempts", "max_elapsed_time_ms", "initial_backoff_ms", "max_backoff_ms")
    ),
    # … and the switches that only the documentation of Sockudo 5 knows
    Row("webhooks.enabled", "refused", False),
    Row("webhooks.batching_enabled", "done", False),
    Row("webhooks.max_batch_size", "done", 7),
    Row("webhooks.flush_interval_ms", "done", 7),
    Row("webhooks.timeout_ms", "done", 7),
    # shared state
    Row("database.redis.host", "done", "h"),
    Row("database.redis.host", "done", "rediss://h"),
    *(Row(f"database.redis.{name}", "done", 7, REDIS) for name in ("port", "db")),
    *(Row(f"database.redis.{name}", "done", "x", REDIS) for name in ("username", "password", "key_prefix")),
    Row("database.redis.sentinels", "done", [{"host": "h", "port": 26379}]),
    *(Row(f"database.redis.{name}", "done", "x", SENTINELS) for name in ("sentinel_password", "name")),
    Row("database.redis.cluster_nodes", "done", [{"host": "h", "port": 7000}]),
    Row("database.redis.cluster.nodes", "done", [{"host": "h", "port": 7000}]),
    *(Row(f"database.redis.cluster.{name}", "done", "x", CLUSTER) for name in ("username", "password")),
    *(Row(f"database.redis.cluster.{name}", "done", True, CLUSTER) for name in ("use_tls", "useTLS")),
    Row("database.redis.master_tls.enabled", "done", True, SENTINELS),
    Row("database.redis.master_tls.ca_path", "done", PEM, TLS_SENTINELS),
    Row(
        "database.redis.master_tls.client_cert_path", "done", PEM, TLS_SENTINELS | {"database.redis.tls_key_path": PEM}
    ),
    Row(
        "database.redis.master_tls.client_key_path", "done", PEM, TLS_SENTINELS | {"database.redis.tls_cert_path": PEM}
    ),
    Row("database.redis.master_tls.accept_invalid_certs", "refused", True, TLS_SENTINELS),
    *passed("database.redis.sentinel_tls.", "enabled accept_invalid_certs ca_path client_cert_path client_key_path"),
    Row("database.redis.sentinel_username", "refused", "u", SENTINELS),
    *(
        Row(f"database.{driver}.{name}", "done", value)
        for driver in ("mysql", "postgres")
        for name, value in (
            ("host", "h"),
            ("port", 7),
            ("username", "x"),
            ("password", "x"),
            ("database", "x"),
            ("table_name", "x"),
        )
    ),
    *passed("database.mysql.", _POOL),
    *passed("database.postgres.", _POOL),
    *(
        Row(f"database.dynamodb.{name}", "done", value, beside)
        for name, value, beside in (
            ("region", "eu-west-1", {}),
            ("table_name", "xyz", {}),
            ("endpoint_url", "http://h", {}),
            ("aws_access_key_id", "x", {"database.dynamodb.aws_secret_access_key": "y"}),
            ("aws_secret_access_key", "x", {"database.dynamodb.aws_access_key_id": "y"}),
            ("aws_profile_name", "x", {}),
        )
    ),
    *passed("database.scylladb.", "nodes keyspace table_name username password replication_class replication_factor"),
    *passed("database.surrealdb.", "url namespace database username password table_name cache_ttl cache_max_capacity"),
    *passed("database_pooling.", "enabled min max"),
    Row("cache.driver", "done", "none"),
    Row("cache.driver", "done", "redis-cluster", CLUSTER),
    Row("cache.redis.prefix", "done", "p:"),
    Row("cache.redis.url_override", "refused", "redis://other"),
    Row("cache.redis.cluster_mode", "done", True, REDIS),
    Row("cache.memory.max_capacity", "done", 7),
    *passed("cache.memory.", "ttl cleanup_interval"),
    # the queue
    Row("queue.driver", "done", "sqs"),
    Row("queue.driver", "done", "redis-cluster", {"queue.redis_cluster.nodes": ["redis://h:7000"]}),
    *(
        Row("queue.driver", "refused", word)
        for word in ("none", "sns", "nats", "pulsar", "rabbitmq", "google-pubsub", "kafka", "iggy")
    ),
    Row("queue.redis.concurrency", "done", 7),
    Row("queue.redis.prefix", "done", "p:"),
    Row("queue.redis.url_override", "refused", "redis://other"),
    Row("queue.redis.cluster_mode", "done", True, REDIS),
    *passed("queue.redis.", "response_timeout_ms"),
    *(
        Row(
            f"queue.redis_cluster.{name}",
            "done",
            value,
            {"queue.driver": "redis-cluster", "queue.redis_cluster.nodes": ["redis://h:7000"]},
        )
        for name, value in (("concurrency", 7), ("prefix", "p:"))
    ),
    *passed("queue.redis_cluster.", "concurrency prefix nodes request_timeout_ms"),
    *passed("queue.nats.", _NATS),
    *passed("queue.pulsar.", _PULSAR),
    *passed("queue.rabbitmq.", _RABBIT),
    *passed("queue.google_pubsub.", _GOOGLE),
    *passed("queue.kafka.", _KAFKA),
    *passed("queue.iggy.", _IGGY),
    *passed("queue.sns.", "region topic_arn endpoint_url"),
    *(
        Row(f"queue.sqs.{name}", "done", value)
        for name, value in (
            ("region", "eu-west-1"),
            ("queue_url_prefix", "https://sqs.a.example/1/x-"),
            ("visibility_timeout", 7),
            ("endpoint_url", "http://h"),
            ("max_messages", 7),
            ("wait_time_seconds", 7),
            ("concurrency", 7),
            ("fifo", True),
            ("message_group_id", "x"),
        )
    ),
    *passed(
        "queue.reliability.",
        "max_attempts retry_base_delay_ms retry_max_delay_ms retry_jitter lease_duration_ms lease_renew_interval_ms "
        "stalled_batch_size worker_poll_interval_ms worker_prefetch shutdown_timeout_ms completed_retention "
        "failed_retention event_retention deduplication_ttl_ms memory_capacity max_batch_size",
    ),
    # limits
    Row("channel_limits.max_name_length", "done", 7),
    Row("channel_limits.cache_ttl", "done", 7),
    *(
        Row(f"event_limits.{name}", "done", 7)
        for name in ("max_channels_at_once", "max_name_length", "max_payload_in_kb", "max_batch_size")
    ),
    Row("presence.max_members_per_channel", "done", 7),
    Row("presence.max_member_size_in_kb", "done", 7),
    *passed(
        "presence.",
        "update_rate_limit_per_member_per_second ungraceful_timeout_seconds v2_ungraceful_timeout_seconds",
    ),
    Row("rate_limiter.enabled", "done", False),
    Row("rate_limiter.driver", "done", "memory"),
    Row("rate_limiter.driver", "done", "redis-cluster", CLUSTER),
    Row("rate_limiter.driver", "refused", "none"),
    *(
        Row(f"rate_limiter.{each}.{name}", "done", 7)
        for each in ("api_rate_limit", "websocket_rate_limit")
        for name in ("max_requests", "window_seconds", "trust_hops")
    ),
    *passed("rate_limiter.", "api_rate_limit.identifier websocket_rate_limit.identifier"),
    Row("rate_limiter.redis.prefix", "done", "p:"),
    Row("rate_limiter.redis.url_override", "refused", "redis://other"),
    Row("rate_limiter.redis.cluster_mode", "done", True, REDIS),
    # edges
    Row("http_api.request_limit_in_mb", "done", 7),
    Row("http_api.usage_enabled", "done", False),
    Row("http_api.accept_traffic.memory_threshold", "done", 0.5),
    *passed("http_api.accept_traffic.", "enabled memory_limit_bytes sample_interval_ms"),
    Row("cors.credentials", "done", False),
    Row("cors.origin", "done", ["*.a.example"]),
    Row("cors.methods", "done", ["GET"]),
    Row("cors.allowed_headers", "done", ["X-A"]),
    Row("ssl.enabled", "done", True, TLS),
    Row("ssl.cert_path", "done", __file__),
    Row("ssl.key_path", "done", __file__),
    Row("ssl.passphrase", "done", "x"),
    Row("ssl.ca_path", "refused", "/ca.pem"),
    *passed("ssl.", "redirect_http http_port"),
    Row("unix_socket.enabled", "done", True),
    Row("unix_socket.path", "done", "/a/b"),
    Row("unix_socket.permission_mode", "done", "600"),
    Row("websocket.max_backpressure", "done", 70_000),
    *passed(
        "websocket.",
        "max_messages max_bytes disconnect_on_buffer_full max_message_size max_frame_size write_buffer_size auto_ping "
        "ping_interval idle_timeout compression",
    ),
    Row("metrics.enabled", "done", False),
    Row("metrics.driver", "done", "prometheus"),
    Row("metrics.host", "done", "127.0.0.1"),
    Row("metrics.port", "done", 7),
    Row("metrics.prometheus.prefix", "done", "x_"),
    *passed("metrics.tcp_exporter.", "enabled host port buffer_size"),
    Row("logging.colors_enabled", "done", False),
    Row("logging.include_target", "done", False),
    Row("idempotency.enabled", "done", False),
    Row("idempotency.ttl_seconds", "done", 7),
    Row("idempotency.max_key_length", "done", 7),
    # what belongs to its own protocol, and to its inside
    *passed(
        "cleanup.",
        "queue_buffer_size batch_size batch_timeout_ms worker_threads max_retry_attempts async_enabled "
        "fallback_to_sync",
    ),
    *passed(
        "delta_compression.",
        "enabled algorithm full_message_interval min_message_size max_state_age_secs max_channel_states_per_socket "
        "max_conflation_states_per_channel conflation_key_path cluster_coordination coordination_backend "
        "omit_delta_algorithm",
    ),
    *passed("tag_filtering.", "enabled enable_tags"),
    *passed("connection_recovery.", "enabled buffer_ttl_seconds max_buffer_size"),
    *passed(
        "history.",
        "enabled rewind_enabled backend retention_window_seconds max_page_size max_messages_per_channel "
        "max_bytes_per_channel writer_shards writer_queue_capacity purge_interval_seconds purge_batch_size "
        "max_purge_per_tick postgres mysql dynamodb surrealdb scylladb",
    ),
    *passed(
        "presence_history.",
        "enabled retention_window_seconds max_page_size max_events_per_channel max_bytes_per_channel",
    ),
    *passed("", "ephemeral.enabled echo_control.enabled echo_control.default_echo_messages annotations.enabled"),
    *passed("event_name_filtering.", "enabled max_events_per_filter max_event_name_length"),
    *passed(
        "versioned_messages.",
        "enabled driver max_page_size retention_window_seconds purge_interval_seconds purge_batch_size "
        "max_purge_per_tick",
    ),
    *passed("", "ably_compat ai_transport mcp push push_rules opentelemetry"),
]
