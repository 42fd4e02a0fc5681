"""Tables in real servers, and sources that read them. Used by the tests beside it and by those of the documentation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from engine.apps.sources.build import build_source
from engine.errors import SourceUnavailable
from engine.interfaces import AppSource
from tests.config.support import loaded
from tests.support.databases import PASSWORD, DatabaseServer
from tests.support.waiting import until

_numbers = count(1)
#: The least that is an application.
ONE = {"id": "1", "key": "k", "secret": "s"}
#: sockudo's table, without what is of no interest here.
SOCKUDO = {
    "postgres": """CREATE TABLE {} (id VARCHAR(255) PRIMARY KEY, "key" VARCHAR(255) NOT NULL, secret VARCHAR(255),
        max_connections INTEGER, enabled BOOLEAN, enable_client_messages BOOLEAN, max_event_payload_in_kb INTEGER,
        webhooks JSONB, allowed_origins JSONB, policy JSONB, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)""",
    "mysql": """CREATE TABLE {} (id VARCHAR(255) PRIMARY KEY, `key` VARCHAR(255) NOT NULL, secret VARCHAR(255),
        max_connections INT UNSIGNED, enabled BOOLEAN, enable_client_messages BOOLEAN,
        max_event_payload_in_kb INT UNSIGNED, webhooks JSON, allowed_origins JSON, policy JSON,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)""",
}
SOKETI = {
    "postgres": """CREATE TABLE {} (id varchar(255) PRIMARY KEY, "key" varchar(255), secret varchar(255),
        max_connections integer, enable_client_messages smallint, "enabled" smallint,
        max_backend_events_per_sec integer, max_client_events_per_sec integer, max_read_req_per_sec integer,
        webhooks json)""",
    "mysql": """CREATE TABLE {} (id varchar(255) PRIMARY KEY, `key` varchar(255), secret varchar(255),
        max_connections integer(10), enable_client_messages tinyint(1), enabled tinyint(1),
        max_backend_events_per_sec integer(10), max_client_events_per_sec integer(10),
        max_read_req_per_sec integer(10), webhooks json)""",
}


def insert(server: DatabaseServer, table: str, **row: Any) -> str:
    """The statement that puts in this row."""
    quote = "`" if server.driver == "mysql" else '"'
    names = ", ".join(f"{quote}{name}{quote}" for name in row)
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join(map(_literal, row.values()))})"


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | int):
        return str(value).lower()
    return "'" + str(value).replace("'", "''") + "'"


@contextmanager
def fresh_table(server: DatabaseServer, definition: dict[str, str], *rows: dict[str, Any]) -> Iterator[str]:
    """A table with these rows, gone at the end."""
    name = f"apps_{next(_numbers)}"
    server.execute(definition[server.driver].format(name), *(insert(server, name, **row) for row in rows))
    yield name
    server.execute(f"DROP TABLE IF EXISTS {name}")


@asynccontextmanager
async def source_of(server: DatabaseServer, table: str, **changes: Any) -> AsyncIterator[AppSource]:
    section = server.config(table_name=table, **changes)
    document = {"app_manager": {"driver": server.driver}, "database": {server.driver: section}}
    source = build_source(loaded(document).config.database, server.driver)
    try:
        yield source
    finally:
        await source.close()
        # TLS is ended by both sides, which takes a moment.
        await until(lambda: not connections_to(section["port"]), what="no connection is left")


def entries(server: DatabaseServer, table: str, **changes: Any) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        async with source_of(server, table, **changes) as source:
            return sorted(await source.read(), key=lambda entry: str(entry["id"]))

    return asyncio.run(read())


def refusal(server: DatabaseServer, table: str = "apps", **changes: Any) -> str:
    with pytest.raises(SourceUnavailable) as caught:
        entries(server, table, **changes)
    told = str(caught.value)
    assert PASSWORD not in told and "\n" not in told
    return told


def connections_to(port: int) -> set[str]:
    """Local ends of this process's established connections."""
    ours = {str(link) for link in _sockets()}
    found = set()
    for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *rest = line.split()
        if int(remote.split(":")[1], 16) == port and state == "01" and rest[5] in ours:
            found.add(local)
    return found


def _sockets() -> Iterator[str]:
    for entry in Path("/proc/self/fd").iterdir():
        try:
            link = str(entry.readlink())
        except OSError:
            continue
        if link.startswith("socket:["):
            yield link[8:-1]
