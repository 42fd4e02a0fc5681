"""docs/applications.md: its tables, made and filled in real servers as it says, and read by its configurations."""

from __future__ import annotations

import asyncio
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from engine.__main__ import main
from engine.apps.sources.build import build_source
from engine.config.apps import AppConfig
from engine.config.loading.load import Loaded, load
from tests.config.support import APP, loaded
from tests.support.aws import REGION, MotoAws, dynamodb, use_credentials
from tests.support.databases import DatabaseServer, MariaDbServer, PostgresServer, database_server
from tests.support.snippets import snippets

PAGE = "applications.md"
HOOK = {"url": "https://example.com/webhooks", "event_types": ["channel_occupied", "channel_vacated"]}


def documented(driver: str) -> dict[str, Any]:
    (found,) = (
        document
        for document in map(json.loads, snippets(PAGE, "json"))
        if document.get("app_manager", {}).get("driver") == driver
    )
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize(("kind", "first"), [(PostgresServer, 0), (MariaDbServer, 2)])
def test_the_table_of_an_sql_server(kind: type[DatabaseServer], first: int) -> None:
    create, insert = snippets(PAGE, "sql")[first : first + 2]
    assert all(option in create for option in AppConfig.model_fields), "the table has every option of an application"
    document = documented(kind.driver)
    with database_server(kind) as server:
        server.execute(create, insert)
        document["database"][server.driver] |= server.config()
        (entry,) = _read(loaded(document), server.driver)
    assert entry == {"id": "app-id", "key": "app-key", "secret": "app-secret", "enabled": 1, "webhooks": [HOOK]}


def test_the_table_in_dynamodb(aws: MotoAws, monkeypatch: pytest.MonkeyPatch) -> None:
    use_credentials(monkeypatch.setenv)
    document = documented("dynamodb")
    document["database"]["dynamodb"] |= {"endpoint_url": aws.url, "region": REGION}
    with dynamodb(aws) as client:
        commands = [code for code in snippets(PAGE, "sh") if code.startswith("aws dynamodb ")]
        assert len(commands) == 2
        for command in commands:
            words, _, given = command.partition(" --cli-input-json '")
            getattr(client, words.split()[2].replace("-", "_"))(**json.loads(given.strip().removesuffix("'")))
        try:
            (entry,) = _read(loaded(document), "dynamodb")
        finally:
            client.delete_table(TableName=document["database"]["dynamodb"]["table_name"])
    assert (entry["id"], entry["max_connections"], entry["enable_client_messages"]) == ("app-id", 1000, True)
    assert entry["webhooks"][0]["url"] == HOOK["url"]
    loaded({"app_manager": {"array": {"apps": [APP | entry]}}})


def _read(found: Loaded, driver: Any) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        source = build_source(found.config.database, driver)
        try:
            return await source.read()
        finally:
            await source.close()

    return asyncio.run(read())


def test_the_commands_for_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(documented("sqlite")))
    (commands,) = (code for code in snippets(PAGE, "sh") if "apps add" in code)
    lines = [shlex.split(line) for line in commands.splitlines()]
    *lines, last = lines
    for words in lines:
        assert words[:3] == ["python", "-m", "engine"]
        assert main(words[3:]) == 0, words
    (entry,) = _read(load(tmp_path / "config.json", {}, 1), "sqlite")
    assert entry["allowed_origins"] == ["https://shop.example"]
    assert (entry["enabled"], entry["enable_client_messages"]) == (1, 1)
    assert "previous_secret" not in entry and "max_connections" not in entry
    assert main(last[3:]) == 0
    assert _read(load(tmp_path / "config.json", {}, 1), "sqlite") == []
