"""The reference of options, read from the models: nothing is missing, and each entry says what the engine does."""

from __future__ import annotations

import json
from functools import cache

import pytest

from engine.config.reference import Option, groups
from engine.errors import ConfigError
from tests.config.support import apps, loaded
from tests.config.test_shipped import SHIPPED


@cache
def options() -> dict[str, Option]:
    """By path. Not at the import, which every process of the tests makes."""
    return {option.path: option for group in groups() for option in group.options}


def test_every_option_of_the_shipped_file_is_there_with_its_default() -> None:
    document = json.loads(SHIPPED.read_text())
    (app,) = document["app_manager"]["array"].pop("apps")
    # What the shipped file says where the option, left out, depends on the applications or differs by choice.
    unlike = {"host", "metrics.host", "path_prefix", "app_manager.array.apps[].enable_client_messages"}
    given = dict(_leaves(document, "")) | dict(_leaves(app, "app_manager.array.apps[]"))
    for path, value in given.items():
        option = options()[path]
        assert option.default is None or path in unlike or json.loads(option.default) == value, path
    assert {path for path in options() if "apps[]" not in path} - set(given) == {"app_manager.array.apps"}


def _leaves(value: object, path: str) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in _leaves(item, f"{path}.{key}" if path else key)]
    return [(path, value)]


def test_what_must_be_given_has_no_default() -> None:
    assert {path.rpartition(".")[2] for path, option in options().items() if option.default is None} == {
        "id",
        "key",
        "secret",
        "channels",
        "event_types",
    }


@pytest.mark.parametrize(
    "path, allowed",
    [
        ("port", "0 to 65535"),
        ("debug", "true or false"),
        ("max_connections", "1 to 2147483647, or 0, -1 or null for no limit"),
        ("app_manager.driver", "memory, array, mysql, postgres, postgresql, pgsql, sqlite, dynamodb"),
        ("app_manager.array.apps[].max_channels_per_connection", "1 to 2147483647, or 0 or -1 for no limit, or null"),
        ("app_manager.array.apps[].history", "a list of objects"),
        ("cors.origin", "a list; each: text"),
        ("websocket_max_payload_kb", "above 0, up to 1048576"),
    ],
)
def test_what_is_allowed_is_said_as_a_refusal_says_it(path: str, allowed: str) -> None:
    assert options()[path].allowed == allowed


def test_a_refusal_names_what_the_reference_allows() -> None:
    with pytest.raises(ConfigError) as refused:
        loaded({"port": "x"})
    assert str(refused.value).endswith(f"allowed: {options()['port'].allowed}")


def test_what_a_reload_brings_is_marked() -> None:
    reloading = {path for path, option in options().items() if option.reloads}
    assert {"ssl.cert_path", "webhooks.retry.max_attempts", "presence.max_members_per_channel"} <= reloading
    assert {path for path in options() if path.startswith("app_manager.array.")} <= reloading
    assert not reloading & {"port", "ssl.enabled", "webhooks.settle_ms", "app_manager.driver", "app_manager.cache.ttl"}


def test_every_entry_can_be_written_into_a_file() -> None:
    """The defaults of the reference, as a file, are the defaults of the engine."""
    document = apps({"id": "a", "key": "k", "secret": "not known to anybody"})
    for path, option in options().items():
        if "[]" not in path and option.default not in (None, "[]"):
            _put(document, path, option)
    expected = loaded(apps({"id": "a", "key": "k", "secret": "not known to anybody"})).config
    assert loaded(document).config == expected


def _put(document: dict[str, object], path: str, option: Option) -> None:
    *parts, last = path.split(".")
    for part in parts:
        document = document.setdefault(part, {})  # type: ignore[assignment]
    assert option.default is not None
    document[last] = json.loads(option.default)
