"""Applications of the configuration, found by key and by id."""

from __future__ import annotations

from engine.apps.memory import MemoryAppManager
from engine.config.build import build_apps
from engine.interfaces import AppManager
from tests.config.support import apps, loaded


def test_look_up() -> None:
    first, second = build_apps(loaded(apps({"id": "1", "key": "a"}, {"id": "a", "key": "b"})).config)
    manager: AppManager = MemoryAppManager([first, second])
    assert manager.by_key("a") is first
    assert manager.by_id("a") is second
    assert manager.by_key("1") is None
    assert manager.by_id("b") is None
    assert list(manager.all()) == [first, second]
