"""The source of applications that the configuration names. Never reads it: the caller does, and keeps the copy.

Each driver's library is imported only when that driver is chosen: all of them are optional dependencies, and
`config/loading/checks.py` has said what to install where one is missing.
"""

from __future__ import annotations

from typing import Literal

from engine.config.backends import DatabaseConfig
from engine.interfaces import AppSource


def build_source(config: DatabaseConfig, driver: Literal["mysql", "postgres", "sqlite", "dynamodb"]) -> AppSource:
    """Nothing is connected to before the first reading."""
    from engine.apps.sources.table import TableSource

    if driver == "mysql":
        from engine.apps.sources.mysql import MySqlServer

        sql = config.mysql
        return TableSource(MySqlServer(sql), f"mysql at {sql.host}:{sql.port}, table {sql.table_name}")
    if driver == "postgres":
        from engine.apps.sources.postgres import PostgresServer

        pg = config.postgres
        return TableSource(PostgresServer(pg), f"postgres at {pg.host}:{pg.port}, table {pg.table_name}")
    if driver == "sqlite":
        from engine.apps.sources.sqlite import SqliteServer

        file = config.sqlite
        return TableSource(SqliteServer(file), f"sqlite in {file.path}, table {file.table_name}")
    from engine.apps.sources.dynamodb import DynamoDbSource

    return DynamoDbSource(config.dynamodb)
