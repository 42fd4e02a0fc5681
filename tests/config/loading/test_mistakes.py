"""What a user is told about a configuration that cannot be used: the exact lines, for each kind of mistake."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.config.loading.load import load
from engine.config.loading.unsupported import REFUSED
from engine.config.reference import groups
from engine.errors import ConfigError
from tests.config.mistakes import CASES, A, W, hook
from tests.config.support import HOOK, apps, hooks, loaded


@pytest.mark.parametrize(("document", "expected"), CASES, ids=[lines.split("\n")[0][:70] for _, lines in CASES])
def test_line(document: Any, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(document)
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    "value", ["no such/word\0", -7, [[]], {"nonsense": 1}], ids=["text", "number", "list", "object"]
)
def test_one_mistake_is_one_line_that_names_what_was_written(value: Any) -> None:
    """Wherever else the engine takes that option's value."""
    # Either of them lacks the other one besides.
    pair = {"database.dynamodb.aws_access_key_id", "database.dynamodb.aws_secret_access_key"}
    options = {option.path for group in groups() for option in group.options if "[]" not in option.path}
    wrong = {}
    for option in options - pair:
        document = value
        for name in reversed(option.split(".")):
            document = {name: document}
        try:
            loaded(document)
        except ConfigError as error:
            lines = str(error).splitlines()
            if len(lines) != 1 or not lines[0].startswith((f"{option}: ", f"{option}[", f"{option}.")):
                wrong[option] = lines
    assert wrong == {}


def test_every_mistake_is_told_at_once() -> None:
    document = hooks({"url": "x:", "event_types": ["nope"], "headers": {"Host": "a"}}, {"event_types": []}) | {
        "port": "x",
        "adapter": {"driver": "kafka"},
        "queue": {"redis": {"cluster_mode": "true"}},
        "unknown_thing": {},
    }
    with pytest.raises(ConfigError) as caught:
        loaded(document, {"DEBUG": "perhaps", "METRICS_PORT": "-1"})
    places = {line.split(": ")[0] for line in str(caught.value).splitlines()}
    assert places == {
        f"{W}.url",
        f"{W}.event_types[0]",
        f"{W}.headers.Host",
        f"{A}.webhooks[1]",
        f"{A}.webhooks[1].event_types",
        "port",
        "adapter.driver",
        "queue.redis.cluster_mode",
        "unknown_thing",
        "debug (environment variable DEBUG)",
        "metrics.port (environment variable METRICS_PORT)",
    }


def test_a_key_cannot_break_the_line() -> None:
    with pytest.raises(ConfigError) as caught:
        loaded({"a\nport: fine": 1})
    assert str(caught.value).startswith('"a\\nport: fine": unknown key; known here: host, port, debug')
    assert "\n" not in str(caught.value)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(ConfigError) as caught:
        loaded({"port": "9" * 5000})
    assert len(str(caught.value)) < 200


def needs(extra: str) -> str:
    return f"needs a library that is not installed; pip install '.[{extra}]' in the folder of the engine's source"


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (hook(url=None, lambda_function="f"), f"{W}.lambda_function:"),
        (hook(url=None, **{"lambda": {"function_name": "f"}}), f"{W}.lambda:"),
        ({"queue": {"driver": "sqs"}}, 'queue.driver: "sqs"'),
    ],
)
def test_what_goes_to_aws_needs_its_library(monkeypatch: pytest.MonkeyPatch, document: Any, place: str) -> None:
    loaded(document)
    monkeypatch.setitem(sys.modules, "aiobotocore", None)
    loaded(hook())
    with pytest.raises(ConfigError) as caught:
        loaded(document)
    assert str(caught.value) == f"{place} {needs('aws')}"


@pytest.mark.parametrize(
    ("driver", "module", "extra"),
    [
        ("mysql", "aiomysql", "mysql"),
        ("postgres", "asyncpg", "postgres"),
        ("pgsql", "asyncpg", "postgres"),
        ("dynamodb", "aiobotocore", "aws"),
    ],
)
def test_a_database_needs_its_library(monkeypatch: pytest.MonkeyPatch, driver: str, module: str, extra: str) -> None:
    document = {"app_manager": {"driver": driver}}
    loaded(document)
    monkeypatch.setitem(sys.modules, module, None)
    loaded(hook())
    with pytest.raises(ConfigError) as caught:
        loaded(document)
    assert str(caught.value) == f'app_manager.driver: "{driver}" {needs(extra)}'


@pytest.mark.parametrize("option", [name for name in REFUSED if "[]" not in name])
def test_what_is_refused_may_be_there_empty(option: str) -> None:
    for harmless in (None, False, "", [], {}, {"nodes": []}, "false"):
        assert not loaded(_nested(option, harmless)).warnings


def test_the_one_redis_may_be_named_again() -> None:
    url = "redis://r.example:6379/1"
    again = {
        "queue": {"redis": {"url_override": url}},
        "adapter": {"redis": {"redis_pub_options": {"url": url}}},
    }
    resolved = loaded(again, {"REDIS_URL": url, "CACHE_REDIS_URL": url}).resolved
    assert resolved.redis is not None and resolved.redis.address == url


def test_the_one_redis_may_be_named_again_in_another_form() -> None:
    """By its address where the section has its parts, as Sockudo's files have it, and by its parts."""
    redis = {"host": "r.example", "port": "6390", "db": 2, "username": "u", "password": "p"}
    again = {
        "database": {"redis": redis},
        "queue": {"redis": {"url_override": "redis://u:p@r.example:6390/2"}},
        "adapter": {
            "redis": {"redis_pub_options": {"url": "redis://u:p@r.example:6390/2"}, "redis_sub_options": redis}
        },
    }
    assert loaded(again).resolved.redis is not None
    for other in ("redis://r.example:6390/2", "redis://u:p@r.example:6390", "rediss://u:p@r.example:6390/2"):
        with pytest.raises(ConfigError, match=r"queue\.redis\.url_override: .* is not that of database\.redis"):
            loaded(again | {"queue": {"redis": {"url_override": other}}})


@pytest.mark.parametrize("workers", [2, 8])
def test_several_workers_need_a_shared_adapter_and_cache(workers: int) -> None:
    document = {"adapter": {"driver": "local"}, "cache": {"driver": "memory"}}
    with pytest.raises(ConfigError) as caught:
        loaded(document, workers=workers)
    assert str(caught.value).splitlines() == [
        f'adapter.driver: "local" cannot connect {workers} workers; allowed: redis (or leave it out), '
        "or start with 1 worker",
        f'cache.driver: "memory" would give each of {workers} workers a cache of its own; '
        "allowed: redis (or leave it out), none",
    ]
    assert loaded(document, workers=1).resolved.adapter == "local"


def test_no_workers() -> None:
    with pytest.raises(ConfigError, match=r"^--workers: 0 is out of range; allowed: 1 or more$"):
        loaded({}, workers=0)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{\n  "port": 1,\n  "host" 2}', "line 3, column 10: not valid JSON: Expecting ':' delimiter"),
        ("", "line 1, column 1: not valid JSON: Expecting value"),
        ("{} x", "line 1, column 4: not valid JSON: Extra data"),
        ("[]", "must hold a JSON object, {...}"),
        ('{"port": NaN}', "NaN is not valid JSON"),
        ('{"ssl": {"enabled": true, "enabled": false}}', 'the key "enabled" is given twice in one object'),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        load(path, {}, 1)
    assert str(caught.value) == f"config file {path}: {expected}"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    missing, binary = tmp_path / "missing.json", tmp_path / "binary.json"
    binary.write_bytes(b'{"a": "\xff"}')
    for path, expected in (
        (missing, "there is no such file"),
        (tmp_path, "cannot be read: Is a directory"),
        (binary, "byte 7 is not UTF-8"),
    ):
        with pytest.raises(ConfigError) as caught:
            load(path, {}, 1)
        assert str(caught.value) == f"config file {path}: {expected}"


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({"port": 7000}).encode())
    assert load(path, {}, 1).config.port == 7000


def test_no_secret_is_ever_shown() -> None:
    """Whatever is wrong with a place that holds a secret, its value is not in the text."""
    secret = "hunter2"
    wrong: list[Any] = [[secret], {"a": secret}, secret + "\x00"]
    for value in wrong:
        document = apps(
            {"secret": value, "webhooks": [HOOK | {"headers": {"Authorization": value}}]},
            {"id": "2", "key": "k2", "secret": value},
        ) | {
            "database": {"redis": {"password": value, "url": f"x://u:{secret}@h", "sentinel_password": value}},
            "ssl": {"enabled": True, "passphrase": value},
        }
        with pytest.raises(ConfigError) as caught:
            loaded(document, {"SOCKUDO_DEFAULT_APP_SECRET": secret, "REDIS_URL": f"redis//:{secret}@h"})
        assert secret not in str(caught.value)


def _nested(option: str, value: Any) -> dict[str, Any]:
    for part in reversed(option.split(".")):
        value = {part: value}
    return dict(value)
