"""Where the configuration comes from, which source wins, and what it comes to."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from engine.config import default_app, environment
from engine.config.foreign import IGNORED, REFUSED
from engine.config.load import load
from engine.config.root import Config
from engine.errors import ConfigError
from tests.config.support import APP, HOOK, apps, hooks, loaded

#: A sample for each variable whose text is not simply kept.
SAMPLES = {
    "REDIS_URL": "redis://h",
    "DATABASE_REDIS_DB": "3",
    "UNIX_SOCKET_PATH": "/a/b",
    "LOG_OUTPUT_FORMAT": "json",
    "WEBHOOK_SIGNATURE_FORMAT": "hex",
    "METRICS_DRIVER": "prometheus",
    "APP_MANAGER_DRIVER": "array",
    "UNIX_SOCKET_PERMISSION_MODE": "600",
    "CLUSTER_HEALTH_HEARTBEAT_INTERVAL": "1500",
    "CLUSTER_HEALTH_NODE_TIMEOUT": "9000",
}
#: What lets any single variable be set alone.
NEEDED = {"DATABASE_REDIS_HOST": "h", "SSL_CERT_PATH": __file__, "SSL_KEY_PATH": __file__}


def test_without_a_file_the_defaults_serve_one_well_known_app() -> None:
    found = load(None, {}, 1)
    app = found.config.app_manager.array.apps[0]
    assert (app.id, app.key, app.secret) == ("app-id", "app-key", "app-secret")
    assert found.warnings == (
        'no application is configured: using id "app-id" with key "app-key" and its well-known secret',
    )
    assert found.config.model_copy(update={"app_manager": Config().app_manager}) == Config()


def test_precedence() -> None:
    """Defaults < file < environment < flags."""
    file = {"port": 1000}
    assert loaded().config.port == 6001
    assert loaded(file).config.port == 1000
    assert loaded(file, {"PORT": "2000"}).config.port == 2000
    assert loaded(file, {"PORT": "2000"}, flags={"port": 3000}).config.port == 3000
    assert loaded(file, {"PORT": ""}).config.port == 1000, "an empty variable counts as not set"
    with pytest.raises(ConfigError, match=r"^port \(command line\): 70000 is out of range"):
        loaded(file, {"PORT": "2000"}, flags={"port": 70000})


@pytest.mark.parametrize("name", environment.VARIABLES)
def test_every_variable_reaches_its_option(name: str) -> None:
    """A variable sets an option of ours, or one that the table of other servers' options knows."""
    option = environment.VARIABLES[name]
    if any(option == known or option.startswith(f"{known}.") for known in IGNORED):
        (warning,) = loaded({}, {name: "1"}).warnings
        assert f"(environment variable {name})" in warning
    elif option in REFUSED:
        with pytest.raises(ConfigError, match=f"^{option} .environment variable {name}.: "):
            loaded({}, {name: "redis://other"})
    else:
        default: Any = _at(Config(), option)
        value = SAMPLES.get(name) or _another(default)
        changed = loaded({}, NEEDED | {name: value})
        assert not changed.warnings
        assert _at(changed.config, option) != default or name == "APP_MANAGER_DRIVER" or name == "METRICS_DRIVER"


def test_a_newer_name_wins_over_an_older_one() -> None:
    both = {"METRICS_PROMETHEUS_PREFIX": "new_", "PROMETHEUS_METRICS_PREFIX": "old_"}
    assert loaded({}, both).config.metrics.prometheus.prefix == "new_"
    assert (
        loaded({}, {"RATE_LIMITER_WEBSOCKET_MAX_REQUESTS": "7"}).config.rate_limiter.websocket_rate_limit.max_requests
        == 7
    )


def test_lists_from_the_environment() -> None:
    cors = loaded({}, {"CORS_ORIGINS": "https://a.example, https://b.example,", "CORS_METHODS": "GET"}).config.cors
    assert cors.origin == ("https://a.example", "https://b.example")
    assert cors.methods == ("GET",)


def test_text_stands_for_numbers_and_truth_values() -> None:
    config = loaded(
        {
            "port": " 7001 ",
            "debug": "ON",
            "metrics": {"enabled": "no"},
            "http_api": {"request_limit_in_mb": "2.5"},
            "rate_limiter": {"enabled": 0},
        }
    ).config
    assert (config.port, config.debug, config.metrics.enabled, config.rate_limiter.enabled) == (
        7001,
        True,
        False,
        False,
    )
    assert config.http_api.request_limit_bytes == 2_621_440


@pytest.mark.parametrize("none", [0, -1, "0", "-1", None])
def test_no_limit_has_three_spellings(none: Any) -> None:
    app = loaded(apps({"max_connections": none, "maxClientEventsPerSecond": none})).config.app_manager.array.apps[0]
    assert (app.max_connections, app.max_client_events_per_second) == (0, 0)


@pytest.mark.parametrize(
    ("written", "stored"), [("", ""), ("/", ""), ("chat", "/chat"), ("/chat/", "/chat"), ("/a/b", "/a/b")]
)
def test_path_prefix(written: str, stored: str) -> None:
    assert loaded({"path_prefix": written}).config.path_prefix == stored


def test_variables_in_text() -> None:
    document = {
        "host": "${A}.${B:-b}",
        "port": "${P:-7000}",
        "database": {"redis": {"host": "${EMPTY:-r}", "password": "x${A}"}},
    }
    config = loaded(document, {"A": "a", "EMPTY": ""}).config
    assert (config.host, config.port) == ("a.b", 7000)
    assert (config.database.redis.host, config.database.redis.password) == ("r", "xa")


def test_a_variable_that_is_not_set() -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(apps({"secret": "${APP_SECRET}", "key": "${KEY}"}) | {"port": "${PORT_NUMBER}"})
    assert str(caught.value).splitlines() == [
        f"{place}: the environment variable {name} is not set; set it or write ${{{name}:-default}}"
        for place, name in (
            ("app_manager.array.apps[0].key", "KEY"),
            ("app_manager.array.apps[0].secret", "APP_SECRET"),
            ("port", "PORT_NUMBER"),
        )
    ]


# --- the default application by environment (K-6)

IDENTITY = {"SOCKUDO_DEFAULT_APP_ID": "env", "SOCKUDO_DEFAULT_APP_KEY": "ek", "SOCKUDO_DEFAULT_APP_SECRET": "es"}


def test_an_app_from_the_environment_comes_beside_those_of_the_file() -> None:
    more = {"SOCKUDO_DEFAULT_APP_ALLOWED_ORIGINS": "a.example,*.b.example", "SOCKUDO_ENABLE_CLIENT_MESSAGES": "1"}
    first, second = loaded({}, IDENTITY | more).config.app_manager.array.apps
    assert (first.id, second.id, second.key, second.secret) == ("1", "env", "ek", "es")
    assert second.allowed_origins == ("a.example", "*.b.example")
    assert second.enable_client_messages and not first.enable_client_messages
    assert second.max_connections == 0, "the other server's small defaults are not taken over"
    assert load(None, IDENTITY, 1).warnings == ()


def test_an_app_of_the_file_is_changed_by_the_environment() -> None:
    (app,) = loaded(hooks(HOOK), IDENTITY | {"SOCKUDO_DEFAULT_APP_ID": "1"}).config.app_manager.array.apps
    assert (app.id, app.key, app.secret, len(app.webhooks)) == ("1", "ek", "es", 1)


@pytest.mark.parametrize(
    "name", [name for name in default_app.VARIABLES if not name.endswith(("_ID", "_KEY", "_SECRET"))]
)
def test_every_variable_of_the_app_is_known(name: str) -> None:
    value = "7" if "_MAX_" in name else "yes"
    (app,) = load(None, IDENTITY | {name: value}, 1).config.app_manager.array.apps
    expected = app.model_fields_set - {"id", "key", "secret"}
    assert expected == {default_app.VARIABLES[name]}


def test_part_of_an_app_is_a_mistake() -> None:
    with pytest.raises(ConfigError) as caught:
        loaded({}, {"SOCKUDO_DEFAULT_APP_ID": "a", "SOCKUDO_DEFAULT_APP_SECRET": "b"})
    assert str(caught.value) == (
        "SOCKUDO_DEFAULT_APP_ID: SOCKUDO_DEFAULT_APP_KEY is not set; the default application needs all three of "
        "SOCKUDO_DEFAULT_APP_ID, SOCKUDO_DEFAULT_APP_KEY, SOCKUDO_DEFAULT_APP_SECRET"
    )


# --- other servers' files

FOREIGN_FILE: dict[str, Any] = {
    "debug": False,
    "mode": "production",
    "adapter": {
        "driver": "redis",
        "buffer_multiplier_per_cpu": 64,
        "redis": {"requests_timeout": 5000, "prefix": "p:", "cluster_mode": False, "redis_pub_options": {}},
        "cluster": {"nodes": [], "prefix": "c:"},
        "nats": {"servers": ["nats://nats:4222"]},
    },
    "app_manager": {
        "driver": "memory",
        "cache": {"enabled": True, "ttl": 300},
        "array": {
            "apps": [
                {
                    "id": "demo-app",
                    "key": "demo-key",
                    "secret": "demo-secret",
                    "max_connections": "1000",
                    "enable_client_messages": True,
                    "max_client_events_per_second": "200",
                    "webhooks": [
                        {
                            "lambda": {"function_name": "presence", "region": "us-east-1", "client_options": {}},
                            "event_types": ["member_added"],
                            "retry": {"max_attempts": 3, "max_elapsed_time_ms": 1000},
                        }
                    ],
                }
            ]
        },
    },
    "database": {
        "mysql": {"host": "mysql", "password": "pw"},
        "redis": {"host": "redis", "sentinels": [], "name": "mymaster", "cluster_nodes": []},
    },
    "websocket": {"max_messages": 1000, "compression": "disabled"},
    "ssl": {"enabled": False, "redirect_http": False, "http_port": 80},
}


def test_a_file_of_another_server_loads_with_one_warning() -> None:
    found = loaded(FOREIGN_FILE, {"INSTANCE_PROCESS_ID": "n1"}, workers=2)
    (warning,) = found.warnings
    assert warning == (
        "ignored, this engine has no such option: mode, adapter.buffer_multiplier_per_cpu, "
        "adapter.redis.requests_timeout, adapter.cluster, adapter.nats, app_manager.cache, "
        "app_manager.array.apps[0].webhooks[0].lambda.client_options (see endpoint_url), "
        "app_manager.array.apps[0].webhooks[0].retry.max_elapsed_time_ms (see max_attempts), "
        "database.mysql, database.redis.name, websocket.max_messages (see websocket.max_backpressure), "
        "websocket.compression, ssl.redirect_http, ssl.http_port, "
        "instance.process_id (environment variable INSTANCE_PROCESS_ID)"
    )
    assert found.config.app_manager.array.apps[0].max_connections == 1000


def test_the_documented_examples_load_without_a_word() -> None:
    """As an application's webhooks are documented: both kinds of target, every filter, headers, batching, queue."""
    found = loaded(
        {
            "webhooks": {"batching": {"enabled": True, "duration": 50}},
            "queue": {"driver": "redis", "redis": {"concurrency": 5, "prefix": "sockudo_queue:"}},
            "app_manager": {
                "driver": "memory",
                "array": {
                    "apps": [
                        {
                            "id": "my-app",
                            "key": "my-key",
                            "secret": "my-secret",
                            "webhooks": [
                                {
                                    "url": "https://api.example/webhooks",
                                    "event_types": ["channel_occupied", "channel_vacated"],
                                    "headers": {"Authorization": "Bearer your-api-token", "X-Source": "sockudo"},
                                },
                                {
                                    "lambda": {
                                        "function_name": "sockudoEventHandler",
                                        "region": "us-east-1",
                                        "invocation_type": "Event",
                                        "qualifier": "PROD",
                                    },
                                    "event_types": ["member_added", "member_removed"],
                                    "filter": {"channel_prefix": "presence-"},
                                },
                                {
                                    "url": "https://api.example/webhooks/admin",
                                    "event_types": ["client_event", "connection_established", "connection_terminated"],
                                    "filter": {"channel_type": "presence", "channel_prefix": "admin-"},
                                },
                            ],
                        }
                    ]
                },
            },
        },
        workers=2,
    )
    assert found.warnings == ()
    assert len(found.config.app_manager.array.apps[0].webhooks) == 3


def test_soketi_spellings_of_an_app() -> None:
    (app,) = loaded(
        apps(
            {
                "enableClientMessages": True,
                "maxPresenceMembersPerChannel": 5,
                "maxEventPayloadInKb": "20",
                "EnableUserAuthentication": True,
                "webhooks": [HOOK | {"filter": {"channel_name_starts_with": "a", "channel_name_ends_with": "b"}}],
            }
        )
    ).config.app_manager.array.apps
    assert app.enable_client_messages and app.enable_user_authentication
    assert (app.max_presence_members_per_channel, app.max_event_payload_in_kb) == (5, 20)
    found = app.webhooks[0].filter
    assert found is not None and (found.channel_prefix, found.channel_suffix) == ("a", "b")


def test_a_nested_policy_is_flattened() -> None:
    found = loaded(
        apps(
            {
                "policy": {
                    "limits": {"max_connections": 9},
                    "features": {"enable_client_messages": True},
                    "channels": {"allowed_origins": ["*"], "channel_namespaces": []},
                    "webhooks": [HOOK],
                }
            }
        )
    )
    (app,) = found.config.app_manager.array.apps
    assert (app.max_connections, app.enable_client_messages, app.allowed_origins) == (9, True, ("*",))
    assert len(app.webhooks) == 1
    assert found.warnings == ("ignored, this engine has no such option: app_manager.array.apps[0].policy",)


def test_every_ignored_option_is_warned_of_and_nothing_else() -> None:
    for option in IGNORED:
        if "[]" not in option:
            document: Any = 1
            for part in reversed(option.split(".")):
                document = {part: document}
            with_app = apps({})["app_manager"] | document.pop("app_manager", {})
            (warning,) = loaded(document | {"app_manager": with_app}).warnings
            assert warning.startswith(f"ignored, this engine has no such option: {option}")


# --- what it comes to

REDIS = {"database": {"redis": {"host": "r"}}}


@pytest.mark.parametrize(
    ("document", "workers", "drivers", "needed", "embedded"),
    [
        ({}, 1, ("local", "memory", "memory", "memory"), False, False),
        ({}, 2, ("redis", "redis", "redis", "redis"), True, True),
        (REDIS, 1, ("redis", "redis", "redis", "redis"), True, False),
        ({"database": {"redis": {"url": "redis://r"}}}, 4, ("redis", "redis", "redis", "redis"), True, False),
        ({"adapter": {"driver": "redis"}}, 1, ("redis", "redis", "redis", "redis"), True, True),
        ({"queue": {"driver": "redis"}}, 1, ("local", "memory", "redis", "memory"), True, True),
        (REDIS | {"adapter": {"driver": "local"}}, 1, ("local", "redis", "redis", "redis"), True, False),
        (
            {"cache": {"driver": "none"}, "queue": {"driver": "memory"}, "rate_limiter": {"driver": "local"}},
            2,
            ("redis", "none", "memory", "memory"),
            True,
            True,
        ),
    ],
)
def test_effective_drivers(document: Any, workers: int, drivers: tuple[str, ...], needed: bool, embedded: bool) -> None:
    found = loaded(document, workers=workers).resolved
    assert (found.adapter, found.cache, found.queue, found.rate_limiter) == drivers
    assert (found.redis_needed, found.redis_embedded) == (needed, embedded)


def test_doubtful_drivers_are_warned_of() -> None:
    document = {"queue": {"driver": "memory"}, "rate_limiter": {"driver": "memory"}}
    assert loaded(document, workers=3).warnings == (
        'queue.driver is "memory": webhooks that wait in a worker are lost if it dies',
        'rate_limiter.driver is "memory": each of 3 workers counts for itself',
    )
    assert loaded(document, workers=1).warnings == ()


def test_single_values_make_the_redis() -> None:
    redis = {"host": "::1", "port": "6390", "db": "2", "username": "u", "password": "hush", "tls": "yes"}
    all_of_it = loaded({"database": {"redis": redis}, "ssl": {"passphrase": "hush"}})
    assert "hush" not in repr(all_of_it)
    found = all_of_it.resolved.redis
    assert found is not None
    assert (found.host, found.port, found.db, found.username, found.password, found.tls) == (
        "::1", 6390, 2, "u", "hush", True,
    )  # fmt: skip
    assert found.address == "rediss://[::1]:6390/2"


def test_the_url_wins_over_single_values() -> None:
    found = loaded(REDIS, {"REDIS_URL": "unix:///run/r.sock?db=4"}).resolved.redis
    assert found is not None and (found.path, found.db) == ("/run/r.sock", 4)


def test_tls_with_readable_files(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).touch()
    ssl = {"enabled": True, "cert_path": str(tmp_path / "cert.pem"), "key_path": str(tmp_path / "key.pem")}
    assert loaded({"ssl": ssl}).config.ssl.enabled


def test_a_loaded_configuration_travels_to_the_workers_and_cannot_be_changed() -> None:
    found = loaded(hooks(HOOK), workers=2)
    assert pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(ValueError, match="frozen"):
        found.config.port = 1  # type: ignore[misc]
    assert APP["secret"] not in repr(found)


# --- the file in the repository

SHIPPED = Path(__file__).resolve().parents[2] / "config.json"


@pytest.mark.parametrize("workers", [1, 2])
def test_the_shipped_file_works_as_it_is(workers: int) -> None:
    found = load(SHIPPED, {}, workers)
    assert found.warnings == ()
    (app,) = found.config.app_manager.array.apps
    assert (app.id, app.key, app.secret, app.webhooks) == ("app-id", "app-key", "app-secret", ())
    assert found.resolved.redis_embedded == (workers > 1)


def test_the_shipped_file_names_every_option_with_its_default() -> None:
    document = json.loads(SHIPPED.read_text())
    (entry,) = document["app_manager"]["array"]["apps"]
    app_defaults = {"id": "app-id", "key": "app-key", "secret": "app-secret", "enable_client_messages": True}
    found = load(SHIPPED, {}, 1).config
    expected = loaded(apps(app_defaults)).config
    assert found == expected
    assert _keys(document) == _keys(expected.model_dump(mode="json", by_alias=True))
    assert list(entry) == list(expected.app_manager.array.apps[0].model_dump())


def _keys(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return set().union(*(_keys(item, f"{path}.{key}") for key, item in value.items()))
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return set().union(*(_keys(item, f"{path}[]") for item in value))
    return {path}


def _at(config: Any, option: str) -> Any:
    for part in option.split("."):
        config = getattr(config, part)
    return config


def _another(default: Any) -> str:
    """Text for a value of the same type that differs from the default."""
    if isinstance(default, bool):
        return "off" if default else "on"
    if isinstance(default, int | float):
        return str(int(default) + 1)
    return "redis" if default is None else "other"
