"""The mistakes that a configuration can hold, each with the exact lines that its user is told; no tests."""

from __future__ import annotations

from typing import Any

from tests.config.support import APP, HOOK, apps, hooks

A = "app_manager.array.apps[0]"
W = f"{A}.webhooks[0]"
EVENTS = (
    "channel_occupied, channel_vacated, member_added, member_removed, client_event, cache_miss, "
    "connection_established, connection_terminated, subscription_count"
)
TRUTH = "allowed: true, 1, yes, on, false, 0, no, off"
LIMIT = "allowed: 1 to 2147483647, or 0, -1 or null for no limit"
TABLE = "letters, digits or _ $ -, up to 64, after the schema's name and a dot where it has one"
NODE_FORMS = 'forms: "host:port", {"host": ..., "port": ...}, redis://[user:password@]host[:port], rediss://... for TLS'
NODES_MISSING = "needs the cluster's nodes in database.redis.cluster_nodes"
ONE_REDIS = (
    "is not that of database.redis, the one Redis that every part of this engine uses: "
    "write its address into database.redis.url"
)
REDIS_FORMS = "forms: redis://[user:password@]host[:port][/db], rediss://... for TLS, unix:///path/to/socket[?db=n]"


def hook(**changes: Any) -> dict[str, Any]:
    """The configuration with one webhook, changed; None takes a key away."""
    return hooks({key: value for key, value in (HOOK | changes).items() if value is not None})


CASES: list[tuple[Any, str]] = [
    (
        apps(APP | {"previous_secret": "old\0"}),
        f"{A}.previous_secret: the value (not shown) is not valid; 1 to 1024 characters",
    ),
    # an app that nobody could connect to
    (
        apps(APP | {"tls_only": True}),
        f"{A}.tls_only: true needs ssl.enabled or, behind a proxy that ends TLS, trusted_proxies",
    ),
    # who stands in front
    (
        {"trusted_proxies": ["10.0.0.1/8"]},
        'trusted_proxies[0]: "10.0.0.1/8" names an address and a network at once; 10.0.0.0/8, or 10.0.0.1',
    ),
    (
        {"trusted_proxies": ["10.0.0.1", "balancer"]},
        'trusted_proxies[1]: "balancer" is not valid; an address, a network such as 10.0.0.0/8, or unix',
    ),
    (
        {"proxy_protocol": {"enabled": True, "trusted": []}},
        "proxy_protocol.enabled: needs proxy_protocol.trusted or trusted_proxies, the balancers' networks",
    ),
    (
        {"trusted_proxies": ["unix"], "rate_limiter": {"api_rate_limit": {"trust_hops": 1}}},
        "rate_limiter.api_rate_limit.trust_hops: 1 cannot be combined with trusted_proxies, which says it better",
    ),
    # wrong types
    ({"port": "abc"}, 'port: "abc" is not a whole number; allowed: 0 to 65535'),
    ({"port": True}, "port: true is not a whole number; allowed: 0 to 65535"),
    ({"port": 6001.5}, "port: 6001.5 is not a whole number; allowed: 0 to 65535"),
    ({"port": None}, "port: null is not a whole number; allowed: 0 to 65535"),
    ({"debug": "maybe"}, f'debug: "maybe" is not a truth value; {TRUTH}'),
    ({"host": 5}, "host: 5 is not text; a host name or address"),
    ({"adapter": "redis"}, 'adapter: "redis" is not an object; written as {...}'),
    ({"cors": {"origin": 5}}, "cors.origin: 5 is not a list; written as [...]"),
    (
        {"shutdown_grace_period": "soon"},
        'shutdown_grace_period: "soon" is not a number; allowed: above 0, up to 3600',
    ),
    ({"app_manager": {"array": {"apps": {}}}}, "app_manager.array.apps: an object is not a list; written as [...]"),
    (apps(APP, 3), "app_manager.array.apps[1]: 3 is not an object; written as {...}"),
    # out of range
    ({"port": 70000}, "port: 70000 is out of range; allowed: 0 to 65535"),
    (
        {"console": {"password": "hush"}},
        "console.password: the value (not shown) is too short; allowed: 12 characters or more, or null for no console",
    ),
    (
        {"console": {"password": 123456789012}},
        "console.password: the value (not shown) is not text; allowed: 12 characters or more, or null for no console",
    ),
    ({"activity_timeout": 0}, "activity_timeout: 0 is out of range; allowed: 1 to 86400"),
    ({"max_connections": -2}, f"max_connections: -2 is out of range; {LIMIT}"),
    (
        {"http_api": {"accept_traffic": {"memory_threshold": 85}}},
        "http_api.accept_traffic.memory_threshold: 85 is out of range; allowed: above 0, up to 1",
    ),
    (
        {"event_limits": {"max_payload_in_kb": "1e999"}},
        'event_limits.max_payload_in_kb: "1e999" is out of range; allowed: above 0, up to 1048576',
    ),
    ({"path_prefix": "/a b"}, 'path_prefix: "/a b" is not valid; a path such as /realtime, or / for none'),
    # unknown keys
    ({"prot": 1}, 'prot: unknown key; did you mean "port"?'),
    (
        {"websocket": {"zzz": 1}},
        "websocket.zzz: unknown key; known here: max_backpressure, max_frames_per_second, max_connections_per_address, "
        "max_connection_age, memory_threshold",
    ),
    ({"websocket": {"max_backpresure": 1}}, 'websocket.max_backpresure: unknown key; did you mean "max_backpressure"?'),
    (apps({"enabel": True}), f'{A}.enabel: unknown key; did you mean "enabled"?'),
    (hook(event_type=["x"]), f'{W}.event_type: unknown key; did you mean "event_types"?'),
    (hook(filter={"channel_prefx": "a"}), f'{W}.filter.channel_prefx: unknown key; did you mean "channel_prefix"?'),
    (
        hook(url=None, **{"lambda": {"function_name": "f", "regoin": "x"}}),
        f'{W}.lambda.regoin: unknown key; did you mean "region"?',
    ),
    (
        {"app_manager": {"apps": [APP]}},
        'app_manager.apps: unknown key; did you mean "app_manager.array.apps"?',
    ),
    # drivers
    (
        {"adapter": {"driver": "nats"}},
        'adapter.driver: "nats" is not supported by this engine (yet); allowed: local, redis',
    ),
    (
        {"adapter": {"driver": "reddis"}},
        'adapter.driver: "reddis" is not known; did you mean "redis"? allowed: local, redis',
    ),
    (
        {"queue": {"driver": "kafka"}},
        'queue.driver: "kafka" is not supported by this engine (yet); allowed: memory, redis, sqs',
    ),
    (
        {"cache": {"driver": "redis-cluster"}},
        f'cache.driver: "redis-cluster" {NODES_MISSING}',
    ),
    (
        {"app_manager": {"driver": "scylladb", "array": {"apps": [APP]}}},
        'app_manager.driver: "scylladb" is not supported by this engine (yet); '
        "allowed: memory, array, mysql, postgres, postgresql, pgsql, sqlite, dynamodb",
    ),
    # databases
    (
        {"database": {"mysql": {"table_name": "a`b"}}},
        f'database.mysql.table_name: "a`b" is not valid; {TABLE}',
    ),
    (
        {"database": {"postgres": {"table_name": "a.b.c"}}},
        f'database.postgres.table_name: "a.b.c" is not valid; {TABLE}',
    ),
    (
        {"database": {"postgres": {"port": "x"}}},
        'database.postgres.port: "x" is not a whole number; allowed: 0 to 65535',
    ),
    ({"database": {"mysql": {"user": "x"}}}, 'database.mysql.user: unknown key; did you mean "username"?'),
    ({"database": {"mysql": {"password": 5}}}, "database.mysql.password: the value (not shown) is not text"),
    (
        {"database": {"mysql": {"tls": True, "tls_ca_path": "/nowhere.pem"}}},
        'database.mysql.tls_ca_path: "/nowhere.pem" is not a file that can be read',
    ),
    (
        {"database": {"postgres": {"tls_ca_path": "/nowhere.pem"}}},
        'database.postgres.tls_ca_path: "/nowhere.pem" needs database.postgres.tls',
    ),
    (
        {"database": {"dynamodb": {"table_name": "a/b"}}},
        'database.dynamodb.table_name: "a/b" is not valid; 3 to 255 letters, digits or _ . -',
    ),
    (
        {"database": {"dynamodb": {"endpoint_url": "localhost:8000"}}},
        'database.dynamodb.endpoint_url: "localhost:8000" is not a usable URL; an address such as '
        "https://example.com/webhooks",
    ),
    (
        {"database": {"dynamodb": {"aws_secret_access_key": "s3"}}},
        "database.dynamodb.aws_access_key_id: is missing; aws_secret_access_key is given",
    ),
    (
        {"database": {"dynamodb": {"aws_access_key_id": "AKIA", "aws_secret_access_key": ["s3"]}}},
        "database.dynamodb.aws_secret_access_key: the value (not shown) is not text",
    ),
    ({"rate_limiter": {"driver": "x"}}, 'rate_limiter.driver: "x" is not known; allowed: memory, local, redis'),
    ({"metrics": {"driver": "statsd"}}, 'metrics.driver: "statsd" is not known; allowed: prometheus'),
    (
        {"webhooks": {"signature_format": "base64"}},
        'webhooks.signature_format: "base64" is not known; allowed: prefixed, hex',
    ),
    # applications
    (apps({}, {"key": "k2"}), f'app_manager.array.apps[1].id: "1" is already the id of {A}'),
    (apps({}, {"id": "2"}), f'app_manager.array.apps[1].key: "k" is already the key of {A}'),
    (
        apps({"id": 7, "key": "a"}, {"id": "7", "key": "b"}),
        f'app_manager.array.apps[1].id: "7" is already the id of {A}',
    ),
    ({"app_manager": {"array": {"apps": [{"id": "1", "secret": "s"}]}}}, f"{A}.key: is missing"),
    (apps({"id": "a/b"}), f'{A}.id: "a/b" is not valid; 1 to 128 letters, digits or _ . : @ = -'),
    (apps({"id": ""}), f'{A}.id: "" is not valid; 1 to 128 letters, digits or _ . : @ = -'),
    (
        apps({"key": "a:b"}),
        f'{A}.key: "a:b" is not valid; 1 to 128 visible characters other than / ? # % : & = + and quotes',
    ),
    (apps({"secret": ""}), f"{A}.secret: the value (not shown) is not valid; 1 to 1024 characters"),
    (apps({"secret": ["x"]}), f"{A}.secret: the value (not shown) is not text; 1 to 1024 characters"),
    (apps({"maxConnections": "x"}), f'{A}.maxConnections: "x" is not a whole number; {LIMIT}'),
    (apps({"maxConnections": 1, "max_connections": 2}), f"{A}.max_connections: is given twice, also as maxConnections"),
    (
        apps({"policy": {"limits": {"max_connections": "x"}}}),
        f'{A}.policy.limits.max_connections: "x" is not a whole number; {LIMIT}',
    ),
    (
        apps({"allowed_origins": ["a b"]}),
        f'{A}.allowed_origins[0]: "a b" is not valid; an origin such as https://a.example',
    ),
    # history
    (
        apps(APP | {"history": [{"channels": "a", "replay": {}}]}),
        f"{A}.history[0].replay: says nothing; allowed: count, seconds, or both",
    ),
    (
        apps(APP | {"history": [{"channels": "a", "seconds": 9, "replay": {"seconds": 10}}]}),
        f"{A}.history[0].replay.seconds: 10 is more than is kept; allowed: up to 9, as seconds of the rule says",
    ),
    (apps(APP | {"history": [{"count": 5}]}), f"{A}.history[0].channels: is missing"),
    (
        apps(APP | {"history": [{"channels": "#server-to-user-*"}]}),
        f'{A}.history[0].channels: "#server-to-user-*" is not valid; a channel\'s name, in which * stands for any '
        "characters, such as private-orders-*",
    ),
    (
        apps(APP | {"history": [{"channels": "a", "count": 10_001}]}),
        f"{A}.history[0].count: 10001 is out of range; allowed: 1 to 10000",
    ),
    (
        apps(APP | {"history": [{"channels": "a", "bytes": 1023}]}),
        f"{A}.history[0].bytes: 1023 is out of range; allowed: 1024 to 67108864",
    ),
    (
        apps(APP | {"history": [{"channels": "a", "second": 5}]}),
        f'{A}.history[0].second: unknown key; did you mean "seconds"?',
    ),
    (
        apps(APP | {"presence_history": [{"channels": "presence-*", "replay": {"count": 1}}]}),
        f"{A}.presence_history[0].replay: unknown key; known here: channels, count, seconds, bytes",
    ),
    (
        apps(APP | {"presence_history": [{"channels": "private-*"}]}),
        f'{A}.presence_history[0].channels: "private-*" fits no presence channel; allowed: presence-room-*, or *',
    ),
    # webhooks
    (hook(url=None), f"{W}: has no target; allowed: one of url, lambda, lambda_function"),
    (
        hook(url="https://u:p@a.example/@", headers={"authorization": "Bearer x"}),
        f"{W}.headers.authorization: cannot be sent beside the user and password of the url",
    ),
    (hook(lambda_function="f"), f"{W}: has both url and lambda_function; allowed: one of them"),
    (hook(**{"lambda": {"function_name": "f"}}), f"{W}: has both url and lambda; allowed: one of them"),
    (
        hook(url=None, lambda_function="f", **{"lambda": {"function_name": "f"}}),
        f"{W}: names a function in both lambda and lambda_function; allowed: one of them",
    ),
    (hook(url=None, **{"lambda": {"region": "eu-west-1"}}), f"{W}.lambda.function_name: is missing"),
    (hook(event_types=None), f"{W}.event_types: is missing"),
    (hook(event_types=[]), f"{W}.event_types: is empty; name at least one event type"),
    (
        hook(event_types=["channel_ocupied"]),
        f'{W}.event_types[0]: "channel_ocupied" is not known; did you mean "channel_occupied"? allowed: {EVENTS}',
    ),
    (hook(event_types=["cache_miss", "x"]), f'{W}.event_types[1]: "x" is not known; allowed: {EVENTS}'),
    (
        hook(url="ftp://a"),
        f'{W}.url: "ftp://a" is not a usable URL; an address such as https://example.com/webhooks',
    ),
    (
        hook(url="https://user:pw@/x"),
        f'{W}.url: "https://***@/x" is not a usable URL; an address such as https://example.com/webhooks',
    ),
    (
        hook(url="http://a:99999/"),
        f'{W}.url: "http://a:99999/" is not a usable URL; an address such as https://example.com/webhooks',
    ),
    (
        hook(filter={"channel_pattern": "("}),
        f'{W}.filter.channel_pattern: "(" is not a regular expression of RE2, which has no look-around and no '
        "references back: missing ): (",
    ),
    (
        hook(filter={"channel_type": "presense"}),
        f'{W}.filter.channel_type: "presense" is not known; did you mean "presence"? '
        "allowed: public, private, presence, encrypted, cache",
    ),
    (
        hook(filter={"channel_name_starts_with": "a", "channel_prefix": "b"}),
        f"{W}.filter.channel_prefix: is given twice, also as channel_name_starts_with",
    ),
    (
        hook(filter={"channel_namespace": "a:b"}),
        f'{W}.filter.channel_namespace: "a:b" is not valid; '
        "the part of a channel's name between its type and the first colon",
    ),
    (
        hook(filter={"channel_namespaces": []}),
        f"{W}.filter.channel_namespaces: an empty list is empty; name at least one namespace",
    ),
    (
        hook(headers={"X-Pusher-Key": "a"}),
        f"{W}.headers.X-Pusher-Key: is reserved; the engine sets this header itself",
    ),
    (hook(headers={"x-webhook-id": "a"}), f"{W}.headers.x-webhook-id: is reserved; the engine sets this header itself"),
    (hook(headers={"content-TYPE": "a"}), f"{W}.headers.content-TYPE: is reserved; the engine sets this header itself"),
    (hook(headers={"a b": "c"}), f'{W}.headers."a b": is not a header name'),
    (
        hook(headers={"Authorization": "Bearer x\r\nHost: y"}),
        f"{W}.headers.Authorization: the value (not shown) holds characters that no header may hold",
    ),
    (hook(headers={"A": 5}), f"{W}.headers.A: the value (not shown) is not text"),
    (hook(retry={"max_attempts": -1}), f"{W}.retry.max_attempts: -1 is out of range; allowed: 0 to 100"),
    # Redis
    ({"database": {"redis": {"url": "http://x"}}}, f'database.redis.url: "http://x" is not a Redis URL; {REDIS_FORMS}'),
    (
        {"database": {"redis": {"url": "redis:/user:pw@host"}}},
        f'database.redis.url: "***@host" is not a Redis URL; {REDIS_FORMS}',
    ),
    (
        {"database": {"redis": {"password": "hush"}}},
        "database.redis.password: the value (not shown) needs database.redis.host; "
        "without it the engine starts a Redis of its own",
    ),
    (
        {"database": {"redis": {"port": "6380"}}},
        'database.redis.port: "6380" needs database.redis.host; without it the engine starts a Redis of its own',
    ),
    # a cluster of them, Sentinel
    ({"adapter": {"redis": {"cluster_mode": True}}}, f"adapter.redis.cluster_mode: true {NODES_MISSING}"),
    (
        {"adapter": {"redis": {"cluster_mode": "perhaps"}}},
        'adapter.redis.cluster_mode: "perhaps" is not a truth value; allowed: true, false',
    ),
    (
        {"database": {"redis": {"cluster_nodes": ["a", "redis://u:hush@b:x"]}}},
        f'database.redis.cluster_nodes[1]: "redis://***@b:x" is not a node of a cluster; {NODE_FORMS}',
    ),
    (
        {"adapter": {"cluster": {"nodes": ["a", "b b"]}}},
        f'adapter.cluster.nodes[1]: "b b" is not a node of a cluster; {NODE_FORMS}',
    ),
    (
        {"adapter": {"cluster": {"nodes": ["a"]}}, "database": {"redis": {"cluster_nodes": ["b"]}}},
        "adapter.cluster.nodes: differs from database.redis.cluster_nodes; "
        "every part uses one Redis, so give one of them",
    ),
    (
        {"adapter": {"driver": "redis-cluster"}, "database": {"redis": {"url": "unix:///run/r.sock"}}},
        'database.redis.url[0]: "unix:///run/r.sock" is not a node of a cluster, which has no socket and no database '
        f"but 0; {NODE_FORMS}",
    ),
    (
        {"database": {"redis": {"cluster_nodes": ["a"], "db": 2}}},
        "database.redis.db: 2 cannot be chosen in a cluster; allowed: 0",
    ),
    (
        {"database": {"redis": {"cluster_nodes": ["a"], "sentinels": ["b"]}}},
        "database.redis.sentinels: cannot be combined with database.redis.cluster_nodes",
    ),
    (
        {"database": {"redis": {"sentinels": ["b"], "url": "redis://a"}}},
        'database.redis.url: "redis://a" cannot be combined with database.redis.sentinels',
    ),
    (
        {"database": {"redis": {"sentinels": [{"host": "b", "prot": 1}]}}},
        "database.redis.sentinels[0]: an object is not the place of a Sentinel; "
        'forms: "host:port", {"host": ..., "port": ...}',
    ),
    (
        {"database": {"redis": {"sentinel_password": "hush"}}},
        "database.redis.sentinel_password: the value (not shown) needs database.redis.sentinels",
    ),
    (
        {"cache": {"redis": {"url_override": "redis://u:p@other"}}},
        f'cache.redis.url_override: "redis://***@other" {ONE_REDIS}',
    ),
    (
        {"adapter": {"redis": {"redis_pub_options": {"url": "redis://other"}}}},
        f"adapter.redis.redis_pub_options: an object {ONE_REDIS}",
    ),
    (
        {"adapter": {"cluster_health": {"heartbeat_interval_ms": 9000}}},
        "adapter.cluster_health.node_timeout_ms: 10000 is too short; "
        "allowed: at least twice heartbeat_interval_ms, which is 9000",
    ),
    # files
    (
        {"ssl": {"enabled": "yes", "key_path": "/nonexistent/key.pem"}},
        "ssl.cert_path: is missing; ssl.enabled needs a certificate and its key, as PEM files\n"
        'ssl.key_path: "/nonexistent/key.pem" is not a file that can be read',
    ),
    ({"unix_socket": {"enabled": 1, "path": "a.sock"}}, 'unix_socket.path: "a.sock" is not an absolute path'),
]
