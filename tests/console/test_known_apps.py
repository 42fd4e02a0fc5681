"""The applications as the console knows them."""

from __future__ import annotations

import pytest

from engine.app import App
from engine.config.root import Config
from engine.console import known_apps as module
from engine.console.known_apps import KnownApps
from engine.errors import ApiError
from tests.config.support import apps, loaded

HOOK = {"url": "https://user:hidden@hooks.example/in?token=hidden", "event_types": ["channel_occupied"]}


async def test_they_are_those_of_the_configuration_as_it_is_now() -> None:
    known = KnownApps(loaded(apps({"id": "1", "key": "k", "webhooks": [HOOK]}, {"id": "2", "key": "k2"})).config)
    first, second = await known.listed()
    assert (first["id"], second["id"], second["enabled"], second["endpoints"]) == ("1", "2", True, [])
    assert [endpoint["label"] for endpoint in first["endpoints"]] == ["https://hooks.example/in"]
    assert (await known.find({"app": "2"})).key == "k2"
    known.reconfigure(loaded(apps({"id": "3", "key": "k3"})).config)
    assert [app["id"] for app in await known.listed()] == ["3"]
    for asked in ({"app": "1"}, {}, {"app": ["3"]}):
        with pytest.raises(ApiError, match="no such application"):
            await known.find(asked)


async def test_those_of_a_database_are_read_again_when_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    now, reads = [100.0], []

    async def read(config: Config) -> list[App]:
        reads.append(config)
        return []

    monkeypatch.setattr(module, "read_apps", read)
    known = KnownApps(loaded({"app_manager": {"driver": "sqlite"}}).config, lambda: now[0])
    await known.all()
    await known.all()
    assert len(reads) == 1
    now[0] += module.FRESH_S + 0.1
    await known.all()
    assert len(reads) == 2
