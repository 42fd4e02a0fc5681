"""`python -m engine apps add|set|rotate|enable|disable|remove`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.__main__ import main
from engine.apps.sqlite_table import SqliteTable
from engine.config.databases import SqliteConfig

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "apps.sqlite3"


@pytest.fixture
def run(tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"app_manager": {"driver": "sqlite"}, "database": {"sqlite": {"path": str(file)}}}))

    def runs(*words: str) -> tuple[int, str, str]:
        status = main(["--config", str(config), "apps", *words])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return runs


def entries(file: Path) -> list[dict[str, Any]]:
    return SqliteTable(SqliteConfig(path=str(file))).entries()


def test_a_new_application_has_a_key_and_a_secret_of_its_own(run: Run, file: Path) -> None:
    status, printed, _ = run("add", "shop", "max_connections=100", "allowed_origins=a.example,b.example")
    assert status == 0
    assert run("add", "other")[0] == 0
    shop, other = entries(file)
    assert printed.splitlines() == [
        "PUSHER_APP_ID=shop",
        f"PUSHER_APP_KEY={shop['key']}",
        f"PUSHER_APP_SECRET={shop['secret']}",
    ]
    assert (shop["max_connections"], shop["allowed_origins"]) == (100, "a.example,b.example")
    assert re.fullmatch("[0-9a-f]{20}", shop["key"]) and re.fullmatch("[0-9a-f]{40}", shop["secret"])
    assert shop["key"] != other["key"] and shop["secret"] != other["secret"]
    assert re.search(f"^shop +{shop['key']} +[*]+ +yes +no +100 ", run()[1], re.MULTILINE)


def test_a_secret_is_rotated_in_two_steps(run: Run, file: Path) -> None:
    run("add", "shop", "--key", "k", "--secret", "first")
    _, printed, _ = run("rotate", "shop")
    (shop,) = entries(file)
    assert shop["previous_secret"] == "first" and shop["secret"] != "first"
    assert f"PUSHER_APP_SECRET={shop['secret']}" in printed and "rotate --finish shop" in printed
    status, _, said = run("rotate", "shop")
    assert status == 2 and "has two secrets already" in said
    assert entries(file) == [shop], "back ends that have the first one go on"
    assert run("rotate", "--finish", "shop")[0] == 0
    assert entries(file) == [{"id": "shop", "key": "k", "secret": shop["secret"]}]
    assert run("rotate", "shop")[0] == 0


def test_options_are_set_and_given_back(run: Run, file: Path) -> None:
    run("add", "shop", "--key", "k", "--secret", "s")
    hook = [{"url": "https://a.example/hook", "event_types": ["channel_occupied"]}]
    assert run("set", "shop", f"webhooks={json.dumps(hook)}", "enable_client_messages=true", "tls_only=null")[0] == 0
    run("disable", "shop")
    assert entries(file) == [
        {"id": "shop", "key": "k", "secret": "s", "enabled": 0, "enable_client_messages": 1, "webhooks": hook}
    ]
    run("enable", "shop")
    run("set", "shop", "webhooks=null")
    assert entries(file) == [{"id": "shop", "key": "k", "secret": "s", "enabled": 1, "enable_client_messages": 1}]
    assert run("remove", "shop")[0] == 0
    assert entries(file) == []


@pytest.mark.parametrize(
    "words, told",
    [
        (["add", "shop"], "another application has the id shop"),
        (["add", "new", "--key", "k"], "another application has the id new or the key k already"),
        (["add", "new", "max_conections=5"], 'max_conections: unknown option; did you mean "max_connections"?'),
        (["add", "new", "max_connections"], "max_connections: is not an option and its value"),
        (["set", "shop", "max_connections=x"], 'max_connections: "x" is not a whole number; allowed: 1 to'),
        (["add", "z", "id=other"], "id: is given twice"),
        (["add", "z", "secret=b", "--secret", "a"], "secret: is given twice"),
        (["add", "z", "--key", ""], 'key: "" is not valid'),
        (["set", "shop", "secret=x"], "secret: is not changed like this; use apps rotate"),
        (["set", "shop", 'webhooks=[{"url": "https://a.example"}]'], "webhooks[0].event_types: is missing"),
        (["set", "nobody", "enabled=true"], "there is no application nobody"),
        (["rotate", "nobody"], "there is no application nobody"),
        (["remove", "nobody"], "there is no application nobody"),
    ],
)
def test_what_cannot_be_changes_nothing(run: Run, file: Path, words: list[str], told: str) -> None:
    run("add", "shop", "--key", "k", "--secret", "s")
    status, printed, error = run(*words)
    assert (status, printed) == (2, "")
    assert error.startswith(f"engine: {told}")
    assert entries(file) == [{"id": "shop", "key": "k", "secret": "s"}]


def test_a_file_that_is_no_database_is_named(run: Run, file: Path) -> None:
    file.write_bytes(b"no database" * 100)
    status, _, error = run("add", "shop")
    assert status == 2
    assert error.startswith(f"engine: database.sqlite.path: {file} cannot be used: file is not a database")


def test_applications_that_are_kept_elsewhere_are_changed_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.json"
    config.write_text("{}")
    assert main(["--config", str(config), "apps", "add", "shop"]) == 2
    assert "keeps the applications in the configuration's file; they are changed there" in capsys.readouterr().err
