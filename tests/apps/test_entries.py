"""Entries of a database become applications: checked like the file's, one by one, while others serve."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from engine.app import App
from engine.apps.entries import Entries
from engine.metrics.metrics import Metrics
from tests.config.support import loaded


def entry(app_id: str, **fields: Any) -> dict[str, Any]:
    return {"id": app_id, "key": f"key-{app_id}", "secret": f"secret-{app_id}"} | fields


class Table:
    """What the entries come to, read after read."""

    def __init__(self, config: Any = None) -> None:
        self.metrics = Metrics()
        self.entries = Entries(loaded(config).config, self.metrics)
        self.apps: dict[str, App] = {}

    def take(self, *entries: dict[str, Any]) -> bool:
        """Whether anything has changed."""
        found: Sequence[App] | None = asyncio.run(self.entries.take(entries))
        if found is not None:
            self.apps = {app.id: app for app in found}
        return found is not None

    def figures(self) -> tuple[float, float]:
        return self.metrics.value("apps"), self.metrics.value("apps_refused")


def test_entries_become_applications() -> None:
    table = Table({"event_limits": {"max_name_length": 7}})
    assert table.take(entry("2"), entry("1", maxConnections="5", webhooks=None))
    assert [*table.apps] == ["1", "2"]
    assert table.apps["1"].max_connections == 5
    assert table.apps["2"].max_event_name_length == 7
    assert table.figures() == (2, 0)


def test_what_has_not_changed_costs_nothing() -> None:
    table = Table()
    table.take(entry("1"), entry("2"))
    first = table.apps
    assert not table.take(entry("2"), entry("1"))
    assert table.take(entry("1"), entry("2", enabled=False))
    assert table.apps["1"] is first["1"]
    assert table.apps["2"] != first["2"]


MISTAKES = [
    ({"max_connections": -5}, "max_connections: -5 is out of range"),
    ({"secret": None}, "secret: the value (not shown) is not text"),
    ({"secrt": "x"}, 'secrt: unknown key; did you mean "secret"?'),
    (
        {"webhooks": [{"url": "nowhere", "event_types": ["cache_miss"]}]},
        'webhooks[0].url: "nowhere" is not a usable URL',
    ),
    ({"webhooks": [{"event_types": ["cache_miss"]}]}, "webhooks[0]: has no target"),
    ({"tls_only": True}, "tls_only: true needs ssl.enabled"),
    ({"enableClientMessages": "perhaps"}, 'enableClientMessages: "perhaps" is not a truth value'),
    ({"webhooks": '[{"url": "https://a.example"}]'}, "webhooks: "),
]


@pytest.mark.parametrize(("fields", "problem"), MISTAKES, ids=[mistake[1] for mistake in MISTAKES])
def test_a_bad_entry_is_refused_alone(fields: dict[str, Any], problem: str, caplog: pytest.LogCaptureFixture) -> None:
    table = Table()
    table.take(entry("1"), entry("7", **fields))
    assert [*table.apps] == ["1"]
    assert table.figures() == (1, 1)
    (line,) = caplog.messages
    assert line.startswith(f"app 7 refused: {problem}")
    assert "secret-7" not in line
    assert not table.take(entry("1"), entry("7", **fields))
    table.take(entry("1", enabled=False), entry("7", **fields))
    assert len(caplog.messages) == 1, "told once, for as long as it stands"


def test_an_entry_that_goes_bad_keeps_its_last_good_state(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    table = Table()
    table.take(entry("1", max_connections=5))
    good = table.apps["1"]
    table.take(entry("1", max_connections="many"))
    assert table.apps["1"] is good
    assert table.figures() == (1, 1)
    table.take(entry("1", max_connections=6))
    assert table.apps["1"].max_connections == 6
    assert table.figures() == (1, 0)
    assert caplog.messages[0].startswith("app 1 refused; it stays as it was: max_connections: ")
    assert caplog.messages[1] == "app 1 is in order again"
    table.take(entry("1", max_connections="many"))
    table.take()
    assert table.apps == {}
    assert caplog.messages[-1] == "app 1 is in order again: it is gone"


def test_a_key_is_one_applications_only(caplog: pytest.LogCaptureFixture) -> None:
    table = Table()
    table.take(entry("5"))
    table.take(entry("5"), entry("1", key="key-5"))
    assert [*table.apps] == ["5"], "a newcomer takes nobody's key away"
    assert caplog.messages == ["app 1 refused: key: is already the key of app 5"]
    table.take(entry("5"), entry("1"), entry("3", key="key-9"), entry("2", key="key-9"))
    assert {app.id: app.key for app in table.apps.values()} == {"1": "key-1", "2": "key-9", "5": "key-5"}


def test_an_application_whose_new_key_is_taken_stays_as_it_was() -> None:
    table = Table()
    table.take(entry("1"), entry("2"))
    table.take(entry("1", key="key-2"), entry("2"))
    assert table.apps["1"].key == "key-1"
    assert table.figures() == (2, 1)


def test_keys_may_be_exchanged() -> None:
    table = Table()
    table.take(entry("1"), entry("2"))
    table.take(entry("1", key="key-2"), entry("2", key="key-1"))
    assert (table.apps["1"].key, table.apps["2"].key) == ("key-2", "key-1")
    assert table.figures() == (2, 0)


def test_the_first_of_several_entries_with_one_id_counts(caplog: pytest.LogCaptureFixture) -> None:
    table = Table()
    table.take(entry("1"), entry("1", key="other"))
    assert table.apps["1"].key == "key-1"
    assert not table.take(entry("1", key="other"), entry("1")), "whatever their order is later"
    assert caplog.messages == [
        "app 1 refused; it stays as it was: id: is the id of more than one entry; the first counts"
    ]


def test_an_entry_without_an_id_is_told() -> None:
    table = Table()
    table.take({"key": "k"}, entry("1"))
    assert [*table.apps] == ["1"]
    assert table.figures() == (1, 1)


def test_other_limits_of_the_server_apply_to_all() -> None:
    table = Table()
    table.take(entry("1"))
    assert table.apps["1"].max_event_name_length == 200
    table.entries.reconfigure(loaded({"event_limits": {"max_name_length": 7}}).config)
    assert table.take(entry("1"))
    assert table.apps["1"].max_event_name_length == 7


def test_many_entries_leave_the_loop_to_others() -> None:
    async def scenario() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        found = await Entries(loaded().config, Metrics()).take([entry(str(number)) for number in range(500)])
        counting.cancel()
        assert found is not None
        assert len(found) == 500
        return turns

    assert asyncio.run(scenario()) >= 20
