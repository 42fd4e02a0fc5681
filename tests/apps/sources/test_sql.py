"""Applications in a real PostgreSQL and a real MariaDB: every documented table, and what becomes of changes."""

from __future__ import annotations

import asyncio

import pytest

from engine.apps.sources import mysql as mysql_module
from engine.apps.sources import postgres as postgres_module
from engine.apps.sources import table as table_module
from tests.apps.sources.bench import (
    ONE,
    SOCKUDO,
    SOKETI,
    connections_to,
    entries,
    fresh_table,
    insert,
    refusal,
    source_of,
)
from tests.config.support import HOOK
from tests.support.databases import (
    DatabaseServer,
)

HOOK_TEXT = '[{"url": "https://a.example/hook", "event_types": ["channel_occupied"]}]'

#: Types that people use instead.
ODD = {
    "postgres": """CREATE TABLE {} (id uuid, "key" text, secret bytea, max_connections numeric, enabled text,
        webhooks text, allowed_origins text[], tls_only boolean, message_rate_limit jsonb)""",
    "mysql": """CREATE TABLE {} (id char(36), `key` text, secret varbinary(255), max_connections decimal(10,0),
        enabled bit(1), webhooks longtext, allowed_origins text, tls_only bit(1), message_rate_limit json)""",
}


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
            connections = connections_to(server.port)
            await asyncio.gather(*(source.read() for _ in range(3)))
            assert connections_to(server.port) == connections and len(connections) == 1
        assert not connections_to(server.port)

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
