"""What a configuration that is read again changes at once, and what it names as waiting for a restart."""

from __future__ import annotations

from typing import Any

import pytest

from engine.apps.build import build_apps
from engine.config.apps import AppArray
from engine.config.reload import applicable, waits_for_restart
from tests.config.support import APP, HOOK, apps, loaded, with_app


@pytest.mark.parametrize(
    "new",
    [
        {},
        apps({}, {"id": "2", "key": "k2"}),
        apps({"webhooks": [HOOK], "enabled": False}),
        {"event_limits": {"max_payload_in_kb": 5}},
        {"presence": {"max_members_per_channel": 5}},
        {"channel_limits": {"max_name_length": 5, "cache_ttl": 9}},
        {"user_authentication_timeout": 5},
        {"webhooks": {"signature_format": "hex", "request_timeout_ms": 2000, "retry": {"max_attempts": 1}}},
    ],
    ids=str,
)
def test_what_is_followed_at_once(new: dict[str, Any]) -> None:
    running, read = loaded().config, loaded(new).config
    found = applicable(running, read)
    assert found == read
    assert build_apps(found) == build_apps(read)
    assert waits_for_restart(found, read) == []


@pytest.mark.parametrize(
    ("new", "waiting"),
    [
        ({"port": 7000, "metrics": {"port": 7001}}, ["port", "metrics.port"]),
        ({"webhooks": {"settle_ms": 5, "signature_format": "hex"}}, ["webhooks.settle_ms"]),
        ({"database": {"redis": {"url": "redis://:hush@r.example"}}}, ["database.redis.url"]),
        ({"app_manager": {"refresh_ms": 700, "array": {"apps": [APP]}}}, ["app_manager.refresh_ms"]),
        ({"cors": {"origin": ["https://a.example"]}}, ["cors.origin"]),
        ({"console": {"password": "correct horse battery", "port": 1}}, ["console.port", "console.password"]),
    ],
    ids=str,
)
def test_what_waits_is_named_and_not_followed(new: dict[str, Any], waiting: list[str]) -> None:
    running, read = loaded().config, loaded(new).config
    found = applicable(running, read)
    assert waits_for_restart(found, read) == waiting
    changed = with_app({})
    assert found.model_copy(update={"webhooks": running.webhooks}) == loaded(changed).config


def test_the_password_of_a_console_that_is_there_is_followed() -> None:
    running, read = (loaded({"console": {"password": word * 12}}).config for word in "ab")
    assert applicable(running, read) == read
    without = loaded().config
    assert applicable(running, without) == running
    assert waits_for_restart(running, without) == ["console.password"]


def test_a_changed_driver_takes_no_application_away() -> None:
    running = loaded().config
    manager = running.app_manager.model_copy(update={"driver": "postgres", "array": AppArray()})
    read = running.model_copy(update={"app_manager": manager})
    found = applicable(running, read)
    assert found == running
    assert waits_for_restart(found, read) == ["app_manager.driver", "app_manager.array.apps"]
