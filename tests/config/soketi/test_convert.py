"""A soketi configuration in our words: it loads without a warning, and nothing of it is lost without a word."""

from __future__ import annotations

from typing import Any

import pytest

from engine.app import HttpTarget, LambdaTarget
from engine.apps.build import build_apps
from engine.config.loading.load import Loaded
from engine.config.redis import Node, RedisOptions
from engine.config.soketi.convert import convert
from tests.config.support import loaded

HOOK = {
    "url": "https://a.example/hook",
    "event_types": ["client_event", "channel_occupied"],
    "filter": {"channel_name_starts_with": "chat-", "channel_name_ends_with": "-x"},
    "headers": {"X-Mine": "1"},
}
FULL: dict[str, Any] = {
    "debug": True,
    "host": "127.0.0.1",
    "port": 7001,
    "pathPrefix": "/ws",
    "shutdownGracePeriod": 5000,
    "userAuthenticationTimeout": 20_500,
    "mode": "full",
    "adapter": {"driver": "redis", "redis": {"prefix": "app1"}},
    "appManager": {
        "driver": "array",
        "array": {
            "apps": [
                {
                    "id": "7",
                    "key": "k7",
                    "secret": "s7",
                    "maxConnections": -1,
                    "enableClientMessages": True,
                    "enabled": True,
                    "maxBackendEventsPerSecond": "200",
                    "maxClientEventsPerSecond": -1,
                    "maxReadRequestsPerSecond": -1,
                    "maxEventPayloadInKb": 50,
                    "enableUserAuthentication": True,
                    "webhooks": [
                        HOOK,
                        {"lambda_function": "f", "lambda": {"region": "eu-west-1"}, "event_types": ["member_added"]},
                    ],
                }
            ]
        },
    },
    "cache": {"driver": "redis"},
    "channelLimits": {"maxNameLength": 150, "cacheTtl": 60},
    "eventLimits": {"maxChannelsAtOnce": 50, "maxNameLength": 100, "maxPayloadInKb": 20, "maxBatchSize": 5},
    "presence": {"maxMembersPerChannel": 10, "maxMemberSizeInKb": 1},
    "httpApi": {"requestLimitInMb": 7, "acceptTraffic": {"memoryThreshold": 70}},
    "cors": {"credentials": False, "origin": ["https://a.example"], "methods": ["GET"], "allowedHeaders": ["X-A"]},
    "database": {
        "redis": {"host": "127.0.0.1", "port": 6390, "db": 2, "username": "u", "password": "p", "keyPrefix": "mine:"}
    },
    "queue": {"driver": "redis", "redis": {"concurrency": 3}},
    "rateLimiter": {"driver": "redis"},
    "metrics": {"enabled": True, "port": 9999, "prometheus": {"prefix": "my_"}},
    "webhooks": {"batching": {"enabled": True, "duration": 100}},
}


def converted(soketi: dict[str, Any], workers: int = 1) -> tuple[Loaded, list[str]]:
    ours, notes = convert(soketi, {})
    return loaded(ours, workers=workers), notes


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("soketi", [{}, FULL], ids=["empty", "full"])
def test_it_loads_without_a_warning(soketi: dict[str, Any], workers: int) -> None:
    result, notes = converted(soketi, workers)
    # Its built-in application has a secret that everybody knows, which is told wherever it comes from.
    assert [line for line in result.warnings if "a secret that everybody knows" not in line] == []
    assert notes == []


def test_every_value_arrives() -> None:
    result, _ = converted(FULL)
    config, redis = result.config, result.resolved.redis
    assert (config.debug, config.host, config.port, config.path_prefix) == (True, "127.0.0.1", 7001, "/ws")
    assert (config.shutdown_grace_period, config.user_authentication_timeout) == (5, 20.5)
    assert (config.channel_limits.max_name_length, config.channel_limits.cache_ttl) == (150, 60)
    assert (config.presence.max_members_per_channel, config.presence.max_member_size_in_kb) == (10, 1)
    assert (config.http_api.request_limit_in_mb, config.http_api.accept_traffic.memory_threshold) == (7, 0.7)
    assert (config.cors.origin, config.cors.allowed_headers) == (("https://a.example",), ("X-A",))
    assert (config.metrics.enabled, config.metrics.port, config.metrics.prometheus.prefix) == (True, 9999, "my_")
    assert (config.webhooks.batching.enabled, config.webhooks.batching.duration) == (True, 100)
    assert (config.queue.redis.concurrency, config.adapter.redis.prefix) == (3, "app1")
    assert config.database.redis.key_prefix == "mine:"
    resolved = result.resolved
    assert (resolved.adapter, resolved.cache, resolved.queue, resolved.rate_limiter) == ("redis",) * 4
    assert redis is not None
    assert (redis.host, redis.port, redis.db, redis.username, redis.password) == ("127.0.0.1", 6390, 2, "u", "p")


def test_apps_and_webhooks() -> None:
    (app,) = build_apps(converted(FULL)[0].config)
    assert (app.id, app.key, app.secret, app.client_messages, app.user_authentication) == ("7", "k7", "s7", True, True)
    assert (app.max_connections, app.max_backend_events_per_second, app.max_event_bytes) == (0, 200, 50 * 1024)
    hook, function = app.endpoints
    assert (hook.target, hook.event_types) == (HttpTarget(HOOK["url"]), {"client_event", "channel_occupied"})
    assert (hook.filter.channel_prefix, hook.filter.channel_suffix, hook.headers) == ("chat-", "-x", {"X-Mine": "1"})
    assert hook.signature_format == function.signature_format == "hex"
    assert function.target == LambdaTarget("f", "eu-west-1", "RequestResponse")


@pytest.mark.parametrize(
    "names",
    [
        ("id", "key", "secret", "maxBackendEventsPerSecond", "maxClientEventsPerSecond", "maxReadRequestsPerSecond"),
        (
            "AppId",
            "AppKey",
            "AppSecret",
            *(f"Max{what}PerSecond" for what in ("BackendEvents", "ClientEvents", "ReadRequests")),
        ),
        ("id", "key", "secret", *(f"max_{what}_per_sec" for what in ("backend_events", "client_events", "read_req"))),
    ],
    ids=["camel", "Pascal", "snake"],
)
def test_every_form_of_an_applications_names_is_understood(names: tuple[str, ...]) -> None:
    values = ("7", "k7", "s7", 1, 2, 3)
    result, notes = converted({"appManager.array.apps": [dict(zip(names, values, strict=True))]})
    assert notes == []
    (app,) = result.config.app_manager.array.apps
    limits = (app.max_backend_events_per_second, app.max_client_events_per_second, app.max_read_requests_per_second)
    assert (app.id, app.key, app.secret, *limits) == values


def test_what_soketi_does_by_itself_is_kept() -> None:
    result, _ = converted({})
    assert (result.config.activity_timeout, result.config.user_authentication_timeout) == (30, 30)
    assert (result.config.metrics.enabled, result.config.metrics.prometheus.prefix) == (False, "soketi_")
    assert not result.config.webhooks.batching.enabled
    assert [(app.id, app.key) for app in build_apps(result.config)] == [("app-id", "app-key")]
    assert not result.resolved.redis_needed


def test_dotted_keys_are_understood() -> None:
    apps = [{"id": "1", "key": "k", "secret": "s"}]
    result, notes = converted({"appManager.array.apps": apps, "metrics.enabled": True, "metrics": {"port": 9700}})
    assert notes == []
    assert (result.config.metrics.enabled, result.config.metrics.port) == (True, 9700)
    assert [app.key for app in build_apps(result.config)] == ["k"]


@pytest.mark.parametrize(
    ("soketi", "told"),
    [
        ({"adapter": {"driver": "nats"}}, 'adapter.driver: "nats"'),
        ({"adapter": {"driver": "cluster"}}, "--workers"),
        ({"adapter": {"redis": {"redisPubOptions": {"url": "redis://x"}}}}, "adapter.redis.redisPubOptions"),
        (
            {"adapter": {"driver": "redis", "redis": {"redisPubOptions": {"family": 6}}}},
            "adapter.redis.redisPubOptions.family: has no counterpart",
        ),
        ({"database": {"redis": {"tls": {"servername": "x"}}}, "queue": {"driver": "redis"}}, "redis.tls.servername"),
        ({"adapter": {"redis": {"redisSubOptions": {"tls": {}}}}}, "adapter.redis.redisSubOptions"),
        ({"adapter": {"redis": {"prefix": "p"}}}, "adapter.redis.prefix: is left out"),
        ({"appManager": {"driver": "oracle"}}, 'appManager.driver: "oracle"'),
        ({"database": {"mysql": {"host": "db"}}}, "database.mysql: no applications come from there"),
        ({"appManager": {"driver": "mysql"}, "database": {"mysql": {"ssl": {}}}}, "database.mysql.ssl"),
        ({"appManager": {"driver": "dynamodb", "array": {"apps": [{"id": "1"}]}}}, "appManager.array.apps"),
        ({"queue": {"driver": "sqs", "sqs": {"queueUrl": "https://x"}}}, "queue.sqs.queueUrl"),
        ({"database": {"redis": {"sentinels": [{"host": "x"}]}}}, "no driver uses it"),
        (
            {"adapter": {"driver": "redis"}, "database": {"redis": {"clusterNodes": [{"host": "x"}]}}},
            "no clusterMode is on",
        ),
        ({"database": {"redis": {"host": "redis.example"}}}, "no driver uses it"),
        ({"ssl": {"caPath": "/ca.pem"}}, "ssl.caPath"),
        ({"mode": "worker"}, "mode"),
        ({"cluster": {"port": 11002}}, "cluster"),
        ({"colour": {"of": "paint"}}, "colour.of"),
        ({"appManager": {"array": {"apps": [{"id": "1", "key": "k", "secret": "s", "hats": 3}]}}}, "apps[0].hats"),
        (
            {"appManager": {"array": {"apps": [{"id": "1", "key": "k", "secret": "s", "maxConnections": 0}]}}},
            "max_connections",
        ),
        (
            {
                "appManager": {
                    "array": {
                        "apps": [{"id": "1", "key": "k", "secret": "s", "webhooks": [HOOK | {"event_types": ["x"]}]}]
                    }
                }
            },
            '"x" is never sent',
        ),
    ],
)
def test_what_has_no_counterpart_is_named(soketi: dict[str, Any], told: str) -> None:
    notes = convert(soketi, {})[1]
    assert any(told in note for note in notes), notes


def test_sqs() -> None:
    sqs = {"region": "eu-west-1", "endpoint": "http://127.0.0.1:4566", "queueUrl": "http://127.0.0.1:4566/q.fifo"}
    result, _ = converted({"queue": {"driver": "sqs", "sqs": sqs}})
    ours = result.config.queue
    assert (ours.driver, ours.sqs.region, ours.sqs.endpoint_url, ours.sqs.fifo) == (
        "sqs",
        "eu-west-1",
        sqs["endpoint"],
        True,
    )


@pytest.mark.parametrize(("driver", "user", "port"), [("mysql", "root", 3306), ("postgres", "postgres", 5432)])
def test_applications_in_an_sql_database(driver: str, user: str, port: int) -> None:
    manager = {"driver": driver, driver: {"table": "my_apps", "version": "8.0", "useMysql2": True}}
    database = {driver: {"host": "db.example", "user": "chat", "password": "pw", "database": "chat"}}
    result, notes = converted({"appManager": manager, "database": database})
    assert notes == []
    assert (result.config.app_manager.driver, result.config.app_manager.array.apps) == (driver, ())
    ours = getattr(result.config.database, driver)
    assert (ours.host, ours.port, ours.username, ours.password) == ("db.example", port, "chat", "pw")
    assert (ours.database, ours.table_name) == ("chat", "my_apps")
    ours = getattr(converted({"appManager": {"driver": driver}})[0].config.database, driver)
    assert (ours.host, ours.port, ours.username, ours.database, ours.table_name) == (
        "127.0.0.1",
        port,
        user,
        "main",
        "apps",
    )


def test_applications_in_dynamodb() -> None:
    there = {"table": "my-apps", "region": "eu-west-1", "endpoint": "http://127.0.0.1:8000"}
    result, notes = converted({"appManager.driver": "dynamodb", "appManager.dynamodb": there})
    assert notes == []
    ours = result.config.database.dynamodb
    assert result.config.app_manager.driver == "dynamodb"
    assert (ours.table_name, ours.region, ours.endpoint_url) == ("my-apps", "eu-west-1", "http://127.0.0.1:8000")
    assert converted({"appManager.driver": "dynamodb"})[0].config.database.dynamodb.table_name == "apps"


def test_what_the_parts_say_of_redis_is_that_of_all_where_they_agree() -> None:
    """As its library lays it over the common section; `tls: {}` is how that switches TLS on."""
    own = {"host": "managed.example", "port": 6380, "password": "own", "tls": {"rejectUnauthorized": False}}
    adapter = {"driver": "redis", "redis": {"redisPubOptions": own, "redisSubOptions": own}}
    soketi: dict[str, Any] = {"adapter": adapter, "database": {"redis": {"password": "common", "db": 3}}}
    result, notes = converted(soketi)
    assert result.resolved.redis == RedisOptions("managed.example", 6380, 3, password="own", tls=True)
    assert len(notes) == 2
    assert all(note.endswith("an authority of your own") for note in notes)

    soketi["cache"] = {"driver": "redis", "redis": {"redisOptions": {"tls": {}}}}
    result, notes = converted(soketi)
    assert result.resolved.redis == RedisOptions(db=3, password="common", tls=True)
    differ = [note for note in notes if note.endswith("every part uses the one of database.redis")]
    assert [note.split(": ")[1] for note in differ] == ["host", "port", "password"]


def test_a_cluster_and_sentinels() -> None:
    redis: dict[str, Any] = {
        "host": "h",
        "port": 1,
        "clusterNodes": [{"host": "a", "port": 7}, {"host": "b", "port": 8}],
    }
    soketi = {"adapter": {"driver": "redis", "redis": {"clusterMode": True}}, "database": {"redis": redis}}
    result, notes = converted(soketi)
    assert notes == []
    assert result.resolved.redis == RedisOptions(nodes=(Node("a", 7), Node("b", 8)))
    result, _ = converted(soketi | {"database": {"redis": {"host": "h", "port": 1}}})
    assert result.resolved.redis == RedisOptions(nodes=(Node("h", 1),))

    own = {"redisPubOptions": {"redisOptions": {"tls": {}, "password": "p"}}}
    soketi["adapter"]["redis"] |= own | {"redisSubOptions": own["redisPubOptions"]}
    result, notes = converted(soketi)
    assert notes == []
    assert result.resolved.redis == RedisOptions(nodes=(Node("a", 7), Node("b", 8)), password="p", tls=True)

    watched = {"host": "h", "sentinels": [{"host": "s", "port": 5}], "sentinelPassword": "hush", "name": "main"}
    result, notes = converted({"queue": {"driver": "redis"}, "database": {"redis": watched}})
    assert notes == []
    options = result.resolved.redis
    assert options is not None
    assert (options.sentinels, options.sentinel_password, options.name) == ((Node("s", 5),), "hush", "main")


def test_no_client_events_allowed_means_none() -> None:
    app = {"id": "1", "key": "k", "secret": "s", "enableClientMessages": True, "maxClientEventsPerSecond": 0}
    (ours,) = build_apps(converted({"appManager": {"array": {"apps": [app]}}})[0].config)
    assert not ours.client_messages


def test_url_and_function_together_call_the_url() -> None:
    hook = HOOK | {"lambda_function": "f"}
    app = {"id": "1", "key": "k", "secret": "s", "webhooks": [hook]}
    ours, notes = convert({"appManager": {"array": {"apps": [app]}}}, {})
    assert "lambda_function" not in ours["app_manager"]["array"]["apps"][0]["webhooks"][0]
    assert any("only the url" in note for note in notes)
