"""Applications in a real PostgreSQL and a real MariaDB: every documented table, and a server that is in trouble."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from engine.apps.sources import mysql as mysql_module
from engine.apps.sources import postgres as postgres_module
from engine.apps.sources import table as table_module
from engine.apps.sources.build import build_source
from engine.errors import SourceUnavailable
from engine.interfaces import AppSource
from tests.config.support import HOOK, loaded
from tests.support.databases import (
    CERTIFICATE,
    PASSWORD,
    DatabaseServer,
    MariaDbServer,
    PostgresServer,
    database_server,
)
from tests.support.waiting import free_port, wait_until_async

_numbers = count(1)
HOOK_TEXT = '[{"url": "https://a.example/hook", "event_types": ["channel_occupied"]}]'
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
#: Types that people use instead.
ODD = {
    "postgres": """CREATE TABLE {} (id uuid, "key" text, secret bytea, max_connections numeric, enabled text,
        webhooks text, allowed_origins text[], tls_only boolean, message_rate_limit jsonb)""",
    "mysql": """CREATE TABLE {} (id char(36), `key` text, secret varbinary(255), max_connections decimal(10,0),
        enabled bit(1), webhooks longtext, allowed_origins text, tls_only bit(1), message_rate_limit json)""",
}


#: Statements that make, and remove, a user who is let in with TLS only.
REQUIRE_TLS = {
    "postgres": ([f"CREATE ROLE careful LOGIN SUPERUSER PASSWORD '{PASSWORD}'"], ["DROP ROLE careful"]),
    "mysql": (
        [f"CREATE USER careful@'%' IDENTIFIED BY '{PASSWORD}' REQUIRE SSL", "GRANT ALL ON engine.* TO careful@'%'"],
        ["DROP USER careful@'%'"],
    ),
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


def test_sockudos_table(server: DatabaseServer) -> None:
    policy = '{"limits": {"max_connections": 3}, "features": {"enable_client_messages": true}}'
    rows = (
        ONE
        | {"max_connections": 10, "enabled": True, "enable_client_messages": False, "webhooks": HOOK_TEXT}
        | {"allowed_origins": '["a.example"]', "max_event_payload_in_kb": None},
        {"id": "2", "key": "schlüssel", "secret": "s'", "max_connections": 10, "enabled": False, "policy": policy},
    )
    with fresh_table(server, SOCKUDO, *rows) as table:
        first, second = entries(server, table)
    assert first == ONE | {"max_connections": 10, "enabled": 1, "enable_client_messages": 0} | {
        "webhooks": [HOOK],
        "allowed_origins": ["a.example"],
    }
    assert second == {"id": "2", "key": "schlüssel", "secret": "s'", "enabled": 0, "max_connections": 3} | {
        "enable_client_messages": True
    }


def test_soketis_table(server: DatabaseServer) -> None:
    limits = {"max_connections": -1, "max_backend_events_per_sec": 20, "max_client_events_per_sec": 0}
    row = ONE | limits | {"max_read_req_per_sec": -1, "enabled": 1, "enable_client_messages": 1, "webhooks": "[]"}
    with fresh_table(server, SOKETI, row) as table:
        (entry,) = entries(server, table)
    assert entry == ONE | {"max_connections": -1, "max_backend_events_per_second": 20, "enabled": 1} | {
        "max_client_events_per_second": 0,
        "enable_client_messages": False,
        "max_read_requests_per_second": -1,
        "webhooks": [],
    }


def test_other_types_of_columns(server: DatabaseServer) -> None:
    postgres = server.driver == "postgres"
    row = {
        "id": "00000000-0000-0000-0000-000000000005",
        "key": "k",
        "secret": "s",
        "max_connections": 25,
        "enabled": "yes" if postgres else 1,
        "webhooks": HOOK_TEXT,
        "allowed_origins": "{a.example}" if postgres else "a.example",
        "tls_only": True,
        "message_rate_limit": '{"enabled": true}',
    }
    with fresh_table(server, ODD, row) as table:
        (entry,) = entries(server, table)
    assert entry == row | {
        "enabled": "yes" if postgres else 1,
        "webhooks": [HOOK],
        "allowed_origins": ["a.example"] if postgres else "a.example",
        "tls_only": 1,
        "message_rate_limit": {"enabled": True},
    }


def test_an_empty_table_and_a_table_of_a_schema(server: DatabaseServer) -> None:
    schema = "public" if server.driver == "postgres" else "engine"
    with fresh_table(server, SOCKUDO) as table:
        assert entries(server, table) == []
        assert entries(server, f"{schema}.{table}") == []


def test_a_change_is_seen_by_the_next_reading(server: DatabaseServer) -> None:
    """Rows that come, go and change, and a column that is added, on one connection."""

    async def play(table: str) -> None:
        async with source_of(server, table) as source:
            assert await source.read() == [ONE]
            await server.run(insert(server, table, id="2", key="k2", secret="s2", enabled=True))
            assert len(await source.read()) == 2
            await server.run(f"DELETE FROM {table} WHERE id = '1'", f"ALTER TABLE {table} ADD tls_only smallint")
            await server.run(f"UPDATE {table} SET tls_only = 1, secret = 'new'")
            assert await source.read() == [
                {"id": "2", "key": "k2", "secret": "new", "enabled": True, "tls_only": 1},
            ]

    with fresh_table(server, SOCKUDO, ONE) as table:
        asyncio.run(play(table))


def test_one_connection_is_kept_and_closed_at_the_end(server: DatabaseServer) -> None:
    async def play(table: str) -> None:
        async with source_of(server, table) as source:
            for _ in range(3):
                await source.read()
            connections = _connections_to(server.port)
            await asyncio.gather(*(source.read() for _ in range(3)))
            assert _connections_to(server.port) == connections and len(connections) == 1
        await _until_closed(server.port)

    with fresh_table(server, SOCKUDO, ONE) as table:
        asyncio.run(play(table))


def test_more_rows_than_are_read_at_one_time(server: DatabaseServer) -> None:
    rows = [{"id": str(number), "key": f"k{number}", "secret": "s"} for number in range(205)]
    with fresh_table(server, SOCKUDO, *rows) as table:
        assert {entry["id"] for entry in entries(server, table)} == {row["id"] for row in rows}


def test_too_many_rows_are_refused(server: DatabaseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (table_module, postgres_module, mysql_module):
        monkeypatch.setattr(module, "MAX_ROWS", 2)
    rows = [{"id": str(number), "key": f"k{number}", "secret": "s"} for number in range(3)]
    with fresh_table(server, SOCKUDO, *rows[:2]) as table:
        assert len(entries(server, table)) == 2
    with fresh_table(server, SOCKUDO, *rows) as table:
        assert refusal(server, table).endswith(f"table {table}: has more than 2 rows")


def test_tls(server: DatabaseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Encrypted and verified; a certificate that nobody vouches for, or for another name, is refused."""
    with fresh_table(server, SOCKUDO, ONE) as table:
        assert entries(server, table, tls=True, tls_ca_path=str(CERTIFICATE)) == [ONE]
        assert "certificate verify failed" in refusal(server, table, tls=True)
        told = refusal(server, table, tls=True, tls_ca_path=str(CERTIFICATE), host="localhost")
        assert "certificate" in told and "localhost" in told
        server.execute(f"DELETE FROM {table}")
        server.execute(*REQUIRE_TLS[server.driver][0])
        try:
            assert entries(server, table, tls=True, tls_ca_path=str(CERTIFICATE), username="careful") == []
        finally:
            server.execute(*REQUIRE_TLS[server.driver][1])


def test_wrong_password(server: DatabaseServer) -> None:
    wrong = "wrong-password-that-no-log-may-show"
    told = refusal(server, password=wrong)
    assert told.startswith(f"{server.driver} at 127.0.0.1:{server.port}, table apps: ")
    assert wrong not in told and "engine" in told


def test_missing_table_and_missing_database(server: DatabaseServer) -> None:
    told = refusal(server, "nothing_here")
    assert "nothing_here" in told.partition("table nothing_here: ")[2]
    assert "elsewhere" in refusal(server, database="elsewhere")


def test_nobody_answers(server: DatabaseServer) -> None:
    told = refusal(server, port=free_port())
    assert "connect" in told.lower()


def test_a_server_that_only_listens(server: DatabaseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "CONNECT_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        told = refusal(server, port=silent.getsockname()[1])
    assert told.endswith("cannot connect within 0.2 s")


def test_something_else_answers(server: DatabaseServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=_answer_as_http, args=(listener,))
        answering.start()
        refusal(server, port=listener.getsockname()[1])
        answering.join()


def _answer_as_http(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 100)


@pytest.mark.parametrize("kind", [PostgresServer, MariaDbServer])
def test_a_server_that_is_restarted_or_hangs(kind: type[DatabaseServer], monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(server: DatabaseServer, table: str) -> None:
        async with source_of(server, table) as source:
            assert await source.read() == [ONE]
            # Back before anybody asked: nobody notices.
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            assert await source.read() == [ONE]
            # Away, and back again.
            await asyncio.to_thread(server.stop)
            for _ in range(2):
                with pytest.raises(SourceUnavailable):
                    await source.read()
            await asyncio.to_thread(server.start)
            assert await source.read() == [ONE]
            # A server that stands still is given up, and found again when it goes on.
            monkeypatch.setattr(table_module, "READ_TIMEOUT_S", 0.3)
            monkeypatch.setattr(table_module, "CONNECT_TIMEOUT_S", 0.3)
            server.pause()
            try:
                began = time.monotonic()
                with pytest.raises(SourceUnavailable, match=r"within 0\.3 s"):
                    await source.read()
                assert time.monotonic() - began < 5
            finally:
                server.resume()
            monkeypatch.undo()
            assert await source.read() == [ONE]

    with database_server(kind) as server, fresh_table(server, SOCKUDO, ONE) as table:
        asyncio.run(play(server, table))


def test_a_reading_that_is_cancelled_harms_no_other(server: DatabaseServer) -> None:
    async def play(table: str) -> None:
        async with source_of(server, table) as source:
            await source.read()
            for _ in range(3):
                reading = asyncio.create_task(source.read())
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading
                assert await source.read() == [ONE]

    with fresh_table(server, SOCKUDO, ONE) as table:
        asyncio.run(play(table))


def _connections_to(port: int) -> set[str]:
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


async def _until_closed(port: int) -> None:
    await wait_until_async(lambda: not _connections_to(port), what="the connection is closed")
