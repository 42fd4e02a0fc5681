"""Where the configuration comes from, which source wins, and what it comes to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.config.loading import default_app, environment
from engine.config.loading.load import SIGNATURE_UNSAID, load
from engine.config.loading.unsupported import IGNORED, REFUSED
from engine.config.root import Config
from engine.errors import ConfigError
from tests.config.support import HOOK, apps, hooks, loaded

#: A sample for each variable whose text is not simply kept.
SAMPLES = {
    "CONSOLE_PASSWORD": "correct horse battery",
    "TRUSTED_PROXIES": "10.0.0.0/8, unix",
    "PROXY_PROTOCOL_TRUSTED": "10.0.0.0/8,2001:db8::1",
    "SHUTDOWN_DELAY_MS": "250",
    "REDIS_URL": "redis://h",
    "WEBSOCKET_MEMORY_THRESHOLD": "0.5",
    "DATABASE_REDIS_DB": "3",
    "UNIX_SOCKET_PATH": "/a/b",
    "HTTP_API_HOST": "127.0.0.2",
    "HTTP_API_PORT": "7003",
    "HTTP_API_UNIX_SOCKET": "/a/c",
    "HTTP_API_TLS": "false",
    "HTTP_API_UNIX_SOCKET_MODE": "600",
    "WEBSOCKET_MAX_CONNECTIONS_PER_ADDRESS": "7",
    "LOG_OUTPUT_FORMAT": "json",
    "WEBHOOK_SIGNATURE_FORMAT": "hex",
    "METRICS_DRIVER": "prometheus",
    "APP_MANAGER_DRIVER": "array",
    "UNIX_SOCKET_PERMISSION_MODE": "600",
    "CLUSTER_HEALTH_HEARTBEAT_INTERVAL": "1500",
    "CLUSTER_HEALTH_NODE_TIMEOUT": "9000",
    "QUEUE_SQS_QUEUE_URL_PREFIX": "https://sqs.a.example/1/chat-",
    "QUEUE_SQS_ENDPOINT_URL": "http://127.0.0.1:1",
    "QUEUE_SQS_MAX_MESSAGES": "3",
    "DATABASE_DYNAMODB_ENDPOINT_URL": "http://127.0.0.1:1",
}
#: A certificate and its key.
PEM = str(Path(__file__).parents[2] / "support" / "self_signed.pem")
#: What lets any single variable be set alone.
NEEDED = {
    "DATABASE_REDIS_HOST": "h",
    "SSL_CERT_PATH": PEM,
    "SSL_KEY_PATH": PEM,
    "PROXY_PROTOCOL_TRUSTED": "10.0.0.1",
    "HTTP_API_PORT": "7002",
}


def test_without_a_file_the_defaults_serve_one_well_known_app() -> None:
    found = load(None, {}, 1)
    app = found.config.app_manager.array.apps[0]
    assert (app.id, app.key, app.secret) == ("app-id", "app-key", "app-secret")
    assert found.warnings[0] == (
        'no application is configured: using id "app-id" with key "app-key" and its well-known secret'
    )
    assert (found.config.host, found.config.metrics.host) == ("127.0.0.1", "127.0.0.1")
    own = load(
        None, {"SOCKUDO_DEFAULT_APP_ID": "1", "SOCKUDO_DEFAULT_APP_KEY": "k", "SOCKUDO_DEFAULT_APP_SECRET": "s"}, 1
    )
    assert own.config.model_copy(update={"app_manager": Config().app_manager}) == Config()


@pytest.mark.parametrize("driver", ["mysql", "postgres", "dynamodb"])
def test_a_database_needs_no_application_in_the_file(driver: str) -> None:
    found = loaded({"app_manager": {"driver": driver}})
    assert (found.config.app_manager.array.apps, found.warnings) == ((), ())
    unused = loaded(apps({}), {"APP_MANAGER_DRIVER": driver})
    assert unused.warnings == (f"app_manager.array.apps is not used: applications come from {driver}",)


@pytest.mark.parametrize("word", ["postgresql", "pgsql"])
def test_other_words_for_postgres(word: str) -> None:
    assert loaded({"app_manager": {"driver": word}}).config.app_manager.driver == "postgres"


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
        warning, signature = loaded({}, {name: "1"}).warnings
        assert signature == SIGNATURE_UNSAID
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


def test_what_kubernetes_sets_for_a_service_is_nobodys_option() -> None:
    """A service called `metrics` gives every pod METRICS_PORT=tcp://…."""
    names = [name for name in environment.VARIABLES if name.endswith("PORT")]
    environ = dict.fromkeys(names, "tcp://10.0.0.7:9601") | {"PORT": "7001", "METRICS_PORT_9601_TCP": "tcp://a:1"}
    found = loaded({}, environ)
    (warning,) = found.warnings
    assert found.config == loaded({}, {"PORT": "7001"}).config
    assert warning.split(": ")[1].split(" (")[0].split(", ") == sorted(set(names) - {"PORT"})
    with pytest.raises(ConfigError, match=r"^metrics\.port .environment variable METRICS_PORT.: "):
        loaded({}, {"METRICS_PORT": "tcp://10.0.0.7"})


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


@pytest.mark.parametrize("text", ["${APP-SECRET}", "${", "a${}b", "${A:?no}", "${1}", "${A:-b", "${A}${", "$${A-b}"])
def test_what_begins_like_a_reference_and_is_none_is_not_taken_as_it_stands(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(apps({"secret": text}), {"A": "a"})
    (line,) = str(caught.value).splitlines()
    assert line.startswith("app_manager.array.apps[0].secret: has a ${ that begins no reference; written ${NAME}")


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


def test_a_variable_that_is_not_the_apps_is_told() -> None:
    (told,) = load(None, IDENTITY | {"SOCKUDO_DEFAULT_APP_MAX_CONNS": "7"}, 1).warnings
    assert told == "passed over, no such option of the default application is known: SOCKUDO_DEFAULT_APP_MAX_CONNS"


def test_part_of_an_app_is_a_mistake() -> None:
    with pytest.raises(ConfigError) as caught:
        loaded({}, {"SOCKUDO_DEFAULT_APP_ID": "a", "SOCKUDO_DEFAULT_APP_SECRET": "b"})
    assert str(caught.value) == (
        "SOCKUDO_DEFAULT_APP_ID: SOCKUDO_DEFAULT_APP_KEY is not set; the default application needs all three of "
        "SOCKUDO_DEFAULT_APP_ID, SOCKUDO_DEFAULT_APP_KEY, SOCKUDO_DEFAULT_APP_SECRET"
    )


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
