"""The database that a soketi configuration keeps its applications in, in this engine's words.

Pure: no value is checked here.
"""

from __future__ import annotations

from typing import Any

from engine.config.loading.document import Document, get, put

#: Driver -> what soketi does when its configuration says nothing.
_DEFAULTS: dict[str, Document] = {
    "mysql": {"host": "127.0.0.1", "username": "root", "database": "main", "table_name": "apps"},
    "postgres": {"host": "127.0.0.1", "username": "postgres", "database": "main", "table_name": "apps"},
    "dynamodb": {"table_name": "apps"},
}
_SQL = {"host": "host", "port": "port", "user": "username", "password": "password", "database": "database"}
_DYNAMODB = {"table": "table_name", "region": "region", "endpoint": "endpoint_url"}
#: What says how to talk to a server, which is found out here.
_UNNEEDED = ("version", "useMysql2")


def convert_database(source: Document, ours: Document, notes: list[str]) -> bool:
    """Whether applications are in a database, and where. What is read is taken out of `source`.

    :param source: soketi's whole configuration.
    """
    driver = get(source, ("appManager", "driver"))
    for each in ("mysql", "postgres"):
        section = _taken(source, ("database", each))
        if driver == each:
            known = {theirs: section.pop(theirs) for theirs in _SQL if theirs in section}
            _put(ours, each, known, _SQL)
            notes += [f"database.{each}.{name}: has no counterpart" for name in section]
        elif any(value not in (None, "") for value in section.values()):
            notes.append(f"database.{each}: no applications come from there, so it is left out")
    if driver not in _DEFAULTS:
        return False
    manager = source.pop("appManager")
    table = manager.get(driver)
    table = dict(table) if isinstance(table, dict) else {}
    for name in _UNNEEDED:
        table.pop(name, None)
    names = _DYNAMODB if driver == "dynamodb" else ("table",)
    known = {theirs: table.pop(theirs) for theirs in names if theirs in table}
    _put(ours, driver, known, _DYNAMODB)
    notes += [f"appManager.{driver}.{name}: has no counterpart" for name in table]
    if get(manager, ("array", "apps")):
        notes.append(f"appManager.array.apps: is left out; the applications come from {driver}")
    put(ours, ("app_manager", "driver"), driver)
    return True


def _put(ours: Document, driver: str, given: Document, names: dict[str, str]) -> None:
    path = ("database", driver)
    if get(ours, path) is None:
        put(ours, path, dict(_DEFAULTS[driver]))
    for theirs, value in given.items():
        if value not in (None, ""):
            put(ours, (*path, names[theirs]), value)


def _taken(source: Document, path: tuple[str, str]) -> dict[str, Any]:
    parent = source.get(path[0])
    found = parent.pop(path[1], None) if isinstance(parent, dict) else None
    return dict(found) if isinstance(found, dict) else {}
