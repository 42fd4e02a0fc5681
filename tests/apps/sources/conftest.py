"""Fixtures of the tests of sources: servers that all tests of one test process share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.apps.sources import dynamodb as dynamodb_module
from engine.apps.sources import mysql as mysql_module
from engine.apps.sources import postgres as postgres_module
from engine.apps.sources import table as table_module
from tests.support.databases import DatabaseServer, MariaDbServer, PostgresServer, database_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[DatabaseServer]:
    """PostgreSQL with TLS. A test takes a table of its own, and leaves the server running."""
    with database_server(PostgresServer, tls=True) as server:
        yield server


@pytest.fixture(scope="session")
def mysql() -> Iterator[DatabaseServer]:
    """MariaDB with TLS; the same."""
    with database_server(MariaDbServer, tls=True) as server:
        yield server


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer limits: how busy the machine is says nothing about a source. Tests of a limit set their own."""
    for module in (table_module, mysql_module, postgres_module, dynamodb_module):
        for limit in ("CONNECT_TIMEOUT_S", "READ_TIMEOUT_S", "PAGE_TIMEOUT_S"):
            if hasattr(module, limit):
                monkeypatch.setattr(module, limit, 50.0)


@pytest.fixture(params=["postgres", "mysql"])
def server(request: pytest.FixtureRequest) -> DatabaseServer:
    found: DatabaseServer = request.getfixturevalue(request.param)
    return found
