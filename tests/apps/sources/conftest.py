"""Fixtures of the tests of sources: servers that all tests of one test process share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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


@pytest.fixture(params=["postgres", "mysql"])
def server(request: pytest.FixtureRequest) -> DatabaseServer:
    found: DatabaseServer = request.getfixturevalue(request.param)
    return found
