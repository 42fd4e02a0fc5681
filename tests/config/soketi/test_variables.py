"""The variables of soketi say here what the same options of its file say, alone or over a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.__main__ import main
from engine.config.loading.load import Loaded, explain, load
from engine.config.soketi.convert import convert, stand_in
from engine.config.soketi.variables import OF_APP, VARIABLES
from engine.errors import ConfigError
from tests.config.loading.sockudo_options import Row
from tests.config.loading.soketi_options import SOKETI

_VARIABLE = {option: f"SOKETI_{name}" for name, option in VARIABLES.items()}
#: The options that the tables of both have, which are not all: a file has applications, and variables one of them.
BOTH = [row for row in SOKETI if row.option in _VARIABLE and _VARIABLE.keys() >= row.beside.keys()]
IDENTITY = {"SOKETI_DEFAULT_APP_ID": "7", "SOKETI_DEFAULT_APP_KEY": "k7", "SOKETI_DEFAULT_APP_SECRET": "0123456789"}


def started(environ: dict[str, str]) -> Loaded:
    """As a container is, that has variables and no file."""
    return load(None, environ, 1, None, stand_in(None, environ))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@pytest.mark.parametrize("row", BOTH, ids=lambda row: f"{row.option}={row.value}"[:90])
def test_a_variable_says_what_the_option_says(row: Row) -> None:
    options = row.beside | {row.option: row.value}
    environ = {_VARIABLE[option]: _text(value) for option, value in options.items()}
    assert convert({}, environ) == convert(options, {})


def test_most_options_are_in_that_table() -> None:
    assert len({row.option for row in BOTH}) > 70


def test_a_start_with_variables_alone_serves_what_they_say() -> None:
    found = started(
        IDENTITY
        | {
            "SOKETI_PORT": "7001",
            "SOKETI_DEFAULT_APP_MAX_CONNS": "100",
            "SOKETI_DEFAULT_APP_ENABLE_CLIENT_MESSAGES": "true",
            "SOKETI_DEFAULT_APP_WEBHOOKS": json.dumps([{"url": "https://a.example/", "event_types": ["member_added"]}]),
            "SOKETI_SHUTDOWN_GRACE_PERIOD": "5000",
            "SOKETI_METRICS_ENABLED": "1",
            "SOKETI_DB_REDIS_HOST": "10.0.0.7",
            "SOKETI_ADAPTER_DRIVER": "redis",
            "SOKETI_DB_REDIS_SENTINELS": json.dumps([{"host": "s1", "port": 26379}]),
            "SOKETI_DB_REDIS_INSTANCE_NAME": "mymaster",
        }
    )
    (app,) = found.config.app_manager.array.apps
    assert (app.id, app.key, app.secret, app.max_connections) == ("7", "k7", "0123456789", 100)
    assert app.enable_client_messages
    assert app.webhooks[0].event_types == ("member_added",)
    config = found.config
    assert (config.port, config.shutdown_grace_period, config.metrics.enabled) == (7001, 5, True)
    assert config.metrics.prometheus.prefix == "soketi_"
    assert config.webhooks.signature_format == "hex", "as soketi signs"
    assert found.resolved.redis is not None and [node.host for node in found.resolved.redis.sentinels] == ["s1"]
    assert found.warnings == ()


def test_every_variable_of_the_application_is_one_of_its_options() -> None:
    for name in OF_APP:
        ours, notes = convert({}, {f"SOKETI_{name}": "[]" if name == "DEFAULT_APP_WEBHOOKS" else "1"})
        assert notes == []
        assert ours["app_manager"]["array"]["apps"][0].keys() >= {"id", "key", "secret"}


def test_a_mistake_and_an_origin_name_the_variable() -> None:
    with pytest.raises(ConfigError) as caught:
        started(IDENTITY | {"SOKETI_PORT": "7001x", "SOKETI_DEFAULT_APP_MAX_CONNS": "many"})
    told = str(caught.value)
    assert "SOKETI_PORT" in told and "SOKETI_DEFAULT_APP_MAX_CONNS" in told
    environ = IDENTITY | {"SOKETI_PORT": "7001"}
    origins = explain(None, environ, 1, None, stand_in(None, environ))[1]
    assert origins.of(("port",)) == "environment variable SOKETI_PORT"
    assert origins.of(("metrics", "enabled")) == "variables of soketi"


def test_what_is_said_of_redis_names_its_variable_too() -> None:
    """Which of several it is, where one says that there is a Redis at all and another where it is."""
    says = {"SOKETI_ADAPTER_DRIVER": "redis", "SOKETI_DB_REDIS_HOST": "redis.example"}
    says |= {f"SOKETI_ADAPTER_REDIS_{which}_OPTIONS": '{"port": 6380}' for which in ("PUB", "SUB")}
    environ = IDENTITY | says
    origins = explain(None, environ, 1, None, stand_in(None, environ))[1]
    redis = ("database", "redis")
    assert origins.of(("adapter", "driver")) == "environment variable SOKETI_ADAPTER_DRIVER"
    assert origins.of((*redis, "host")) == "environment variable SOKETI_DB_REDIS_HOST"
    assert origins.of((*redis, "port")) in {f"environment variable {name}" for name in says if "OPTIONS" in name}
    with pytest.raises(ConfigError, match=r"database\.redis\.port \(environment variable SOKETI_DB_REDIS_PORT\)"):
        started(IDENTITY | {"SOKETI_ADAPTER_DRIVER": "redis", "SOKETI_DB_REDIS_PORT": "high"})


@pytest.mark.parametrize("variable", ["SOKETI_DEFAULT_APP_WEBHOOKS", "SOKETI_DB_REDIS_SENTINELS"])
def test_json_without_its_quotes_is_told_with_the_remedy(variable: str) -> None:
    """As a shell leaves it that reads `NAME=[{"host": …}]` from a file."""
    with pytest.raises(ConfigError, match=rf"{variable}: is not JSON: .* single quotes"):
        started(IDENTITY | {variable: "[{host:127.0.0.1,port:26379}]"})


def test_what_is_not_taken_over_is_told() -> None:
    warnings = started(IDENTITY | {"SOKETI_ADAPTER_DRIVER": "nats", "SOKETI_DEAFULT_APP_ID": "8"}).warnings
    assert [line.split(": ")[1] for line in warnings] == ["SOKETI_DEAFULT_APP_ID", "adapter.driver"]


def test_a_service_of_kubernetes_is_no_configuration() -> None:
    service = {
        "SOKETI_SERVICE_HOST": "10.0.0.7",
        "SOKETI_SERVICE_PORT": "6001",
        "SOKETI_PORT": "tcp://10.0.0.7:6001",
        "SOKETI_PORT_6001_TCP_ADDR": "10.0.0.7",
    }
    assert stand_in(None, service) is None
    assert started(IDENTITY | service).config.port == 6001
    assert started(IDENTITY | service).warnings == ()


def test_convert_lays_them_over_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, result = tmp_path / "soketi.json", tmp_path / "config.json"
    apps = [{"id": "1", "key": "a", "secret": "s1"}, {"id": "2", "key": "b", "secret": "s2"}]
    file.write_text(json.dumps({"port": 7001, "appManager.array.apps": apps, "metrics.port": 9700}))
    monkeypatch.setenv("SOKETI_PORT", "7002")
    monkeypatch.setenv("SOKETI_DEFAULT_APP_SECRET", "s3")
    assert main(["config", "convert", str(file), "-o", str(result)]) == 0
    assert capsys.readouterr().err == ""
    found = load(result, {}, 1).config
    assert (found.port, found.metrics.port) == (7002, 9700)
    assert [(app.id, app.secret) for app in found.app_manager.array.apps] == [("1", "s3"), ("2", "s2")]


def test_convert_without_anything_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *OF_APP):
        monkeypatch.delenv(f"SOKETI_{name}", raising=False)
    assert main(["config", "convert"]) == 2
    assert "nothing to convert" in capsys.readouterr().err
