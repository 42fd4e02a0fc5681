"""Applications in a real MariaDB and in DynamoDB, served by an engine: one that comes, one that is switched off, one
that goes. PostgreSQL has a file of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.aws import CREDENTIALS, REGION, MotoAws, dynamodb_table
from tests.support.client import connected
from tests.support.databases import MariaDbServer, database_server
from tests.support.engine import Engine, running
from tests.support.waiting import wait_until

WITHIN_S = 10.0


@dataclass
class AppStore:
    """:param put: writes an application with this id, enabled or not. :param remove: takes it away."""

    config: dict[str, Any]
    put: Callable[[str, bool], object]
    remove: Callable[[str], object]


@contextmanager
def mysql_store(_: MotoAws) -> Iterator[AppStore]:
    with database_server(MariaDbServer) as server:
        columns = "id VARCHAR(99) PRIMARY KEY, `key` VARCHAR(99), secret VARCHAR(99), enabled BOOLEAN"
        server.execute(f"CREATE TABLE applications ({columns})")
        yield AppStore(
            {"app_manager": {"driver": "mysql"}, "database": {"mysql": server.config()}},
            lambda app, on: server.execute(
                f"REPLACE INTO applications VALUES ('{app}', 'key-{app}', 'secret-{app}', {on})"
            ),
            lambda app: server.execute(f"DELETE FROM applications WHERE id = '{app}'"),
        )


@contextmanager
def dynamodb_store(aws: MotoAws) -> Iterator[AppStore]:
    with dynamodb_table(aws, "engine-apps", "AppId") as table:
        keys = {name.lower(): CREDENTIALS[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        section = {"region": REGION, "table_name": "engine-apps", "endpoint_url": aws.url} | keys
        yield AppStore(
            {"app_manager": {"driver": "dynamodb"}, "database": {"dynamodb": section}},
            lambda app, on: table.put(
                {"AppId": {"S": app}, "AppKey": {"S": f"key-{app}"}, "AppSecret": {"S": f"secret-{app}"}}
                | {"Enabled": {"BOOL": on}}
            ),
            lambda app: table.delete({"AppId": {"S": app}}),
        )


@pytest.mark.parametrize("store", [mysql_store, dynamodb_store])
def test_applications_come_and_go(store: Callable[[MotoAws], Any], aws: MotoAws) -> None:
    async def scenario(engine: Engine, place: AppStore) -> None:
        await asyncio.to_thread(place.put, "2", True)
        await asyncio.to_thread(wait_until, lambda: publish(engine, "2") == 200, WITHIN_S, engine.log)
        async with connected(engine.ws_url, "key-1", "secret-1") as steady:
            for end, code in ((lambda: place.put("2", False), 4003), (lambda: place.remove("2"), 4001)):
                async with connected(engine.ws_url, "key-2", "secret-2") as client:
                    await client.subscribe("room")
                    await asyncio.to_thread(end)
                    assert await client.wait_closed() == code
                await asyncio.to_thread(place.put, "2", True)
                await asyncio.to_thread(wait_until, lambda: publish(engine, "2") == 200, WITHIN_S, engine.log)
            await steady.settle()

    with store(aws) as place:
        place.put("1", True)
        with running(place.config | {"app_manager": place.config["app_manager"] | {"array": {"apps": []}}}) as engine:
            asyncio.run(scenario(engine, place))
            assert "secret" not in engine.log() and CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in engine.log()


def publish(engine: Engine, app_id: str) -> int:
    event = {"name": "e", "channels": ["room"], "data": "{}"}
    app = {"app_id": app_id, "key": f"key-{app_id}", "secret": f"secret-{app_id}"}
    return engine.request("POST", "/events", event, **app).status
