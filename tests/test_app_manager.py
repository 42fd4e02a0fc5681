"""Applications of the configuration, found by key and by id."""

from __future__ import annotations

from typing import Any

import pytest

from engine.app_manager import AppManager
from engine.apps.build import build_apps
from tests.config.support import HOOK, apps, loaded


def test_look_up() -> None:
    first, second = build_apps(loaded(apps({"id": "1", "key": "a"}, {"id": "a", "key": "b"})).config)
    manager: AppManager = AppManager([first, second])
    assert manager.by_key("a") is first
    assert manager.by_id("a") is second
    assert manager.by_key("1") is None
    assert manager.by_id("b") is None
    assert list(manager.all()) == [first, second]


def manager_of(*entries: dict[str, Any]) -> AppManager:
    return AppManager(build_apps(loaded(apps(*entries)).config))


def test_another_set_of_applications() -> None:
    manager = manager_of({"id": "1", "key": "a"}, {"id": "2", "key": "b"}, {"id": "3", "key": "c"})
    before = manager.all()
    given = build_apps(loaded(apps({"id": "4", "key": "d"}, {"id": "2", "key": "e"}, {"id": "1", "key": "a"})).config)
    changes = manager.replace(given)
    assert [app.id for app in changes.added] == ["4"]
    assert changes.changed == ((before[1], given[1]),)
    assert changes.removed == (before[2],)
    assert str(changes) == "added 4; changed 2; removed 3"
    assert manager.by_id("1") is before[0], "one that stays as it was stays the same object"
    assert (manager.by_key("a"), manager.by_key("b"), manager.by_key("c")) == (before[0], None, None)
    assert manager.by_key("e") is given[1]
    assert list(manager.all()) == [given[0], given[1], before[0]]


@pytest.mark.parametrize(
    "fields",
    [
        {"secret": "other"},
        {"previous_secret": "other"},
        {"enabled": False},
        {"allowed_origins": ["a.example"]},
        {"webhooks": [HOOK]},
        {"webhooks": [HOOK | {"headers": {"X-A": "b"}, "filter": {"channel_pattern": "x"}}]},
    ],
    ids=str,
)
def test_every_difference_is_a_change(fields: dict[str, Any]) -> None:
    manager = manager_of({})
    assert not manager.replace(build_apps(loaded(apps({})).config))
    changes = manager.replace(build_apps(loaded(apps(fields)).config))
    assert str(changes) == "changed 1"
    assert not manager.replace(build_apps(loaded(apps(fields)).config))


def test_many_changes_are_told_shortly() -> None:
    manager = AppManager()
    changes = manager.replace(build_apps(loaded(apps(*({"id": str(n), "key": f"k{n}"} for n in range(25)))).config))
    assert str(changes).startswith("added 0, 1, 2,")
    assert str(changes).endswith(", 19 and 5 more")
