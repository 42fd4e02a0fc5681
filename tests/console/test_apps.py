"""Applications edited in the console: the file, what is answered, and what the log keeps of it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from engine.apps import edit
from engine.apps.sqlite_table import SqliteTable
from engine.config.root import Config
from engine.console.apps import Apps
from engine.console.audit import caller
from engine.console.known_apps import KnownApps
from engine.errors import ApiError
from tests.config.support import apps, loaded


@pytest.fixture
def config(tmp_path: Path) -> Config:
    where = {"sqlite": {"path": str(tmp_path / "apps.sqlite3")}}
    return loaded({"app_manager": {"driver": "sqlite"}, "database": where}).config


@pytest.fixture
def console(config: Config) -> Apps:
    edit.add(config, "shop", {"key": "k", "secret": "first"})
    return Apps(KnownApps(config))


def entry(config: Config, app_id: str) -> dict[str, Any]:
    return next(each for each in SqliteTable(config.database.sqlite).entries() if each["id"] == app_id)


async def test_one_is_added_and_its_secret_shown_in_that_answer_only(console: Apps, config: Config) -> None:
    made = await console.add({"app": "blog"})
    assert made == {name: entry(config, "blog")[name] for name in ("id", "key", "secret")}
    found = await console.read({})
    assert found["why_not"] == ""
    assert {row["id"]: (row["key"], row["enabled"], row["rotating"]) for row in found["rows"]} == {
        "shop": ("k", True, False),
        "blog": (made["key"], True, False),
    }
    assert made["secret"] not in str(found) and "first" not in str(found)


async def test_a_secret_is_rotated_with_an_overlap(console: Apps, config: Config) -> None:
    made = await console.rotate({"app": "shop"})
    assert (entry(config, "shop")["secret"], entry(config, "shop")["previous_secret"]) == (made["secret"], "first")
    assert (await console.read({}))["rows"][0]["rotating"]
    await console.finish({"app": "shop"})
    assert not entry(config, "shop").get("previous_secret")
    assert not (await console.read({}))["rows"][0]["rotating"]


async def test_one_is_switched_off_and_on_and_removed(console: Apps, config: Config) -> None:
    for enabled in (False, True):
        await console.enable({"app": "shop", "enabled": enabled})
        assert (await console.read({}))["rows"][0]["enabled"] is enabled
    with pytest.raises(ApiError, match="confirm must name the application again"):
        await console.remove({"app": "shop"})
    assert entry(config, "shop")
    await console.remove({"app": "shop", "confirm": "shop"})
    assert (await console.read({}))["rows"] == []


async def test_each_change_is_a_line_of_the_log_with_who_asked_and_without_a_secret(
    console: Apps, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caller.set("192.0.2.7")
    made = [await console.add({"app": "blog"}), await console.rotate({"app": "blog"})]
    await console.finish({"app": "blog"})
    await console.enable({"app": "blog", "enabled": False})
    await console.remove({"app": "blog", "confirm": "blog"})
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 5
    assert all("blog" in line and line.endswith("asked by 192.0.2.7") for line in lines)
    assert not any(secrets["secret"] in line for secrets in made for line in lines)


@pytest.mark.parametrize(
    ("call", "asked", "told"),
    [
        ("add", {}, "an application's id"),
        ("add", {"app": ""}, "an application's id"),
        ("add", {"app": ["blog"]}, "an application's id"),
        ("add", {"app": "a/b"}, "id"),
        ("add", {"app": "shop"}, "already"),
        ("rotate", {"app": "nobody"}, "no application nobody"),
        ("finish", {"app": "nobody"}, "no application nobody"),
        ("enable", {"app": "shop", "enabled": "no"}, "true or false"),
        ("remove", {"app": "nobody", "confirm": "nobody"}, "no application nobody"),
    ],
)
async def test_what_cannot_be_done_is_refused_and_changes_nothing(
    console: Apps, config: Config, caplog: pytest.LogCaptureFixture, call: str, asked: dict[str, Any], told: str
) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(ApiError, match=told):
        await getattr(console, call)(asked)
    assert [each["id"] for each in SqliteTable(config.database.sqlite).entries()] == ["shop"]
    assert not caplog.records


async def test_those_of_the_configuration_cannot_be_edited_and_it_says_why() -> None:
    console = Apps(KnownApps(loaded(apps({"id": "1", "key": "k"})).config))
    found = await console.read({})
    assert "the configuration's file" in found["why_not"] and [row["id"] for row in found["rows"]] == ["1"]
    with pytest.raises(ApiError, match="the configuration's file"):
        await console.add({"app": "blog"})
