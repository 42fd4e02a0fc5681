"""Applications added, changed and removed where they are kept in a file that can be written: SQLite.

Edits the file and nothing else: engines that run see the change by themselves. What would not be usable is refused.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from engine.apps.sqlite_table import SqliteTable
from engine.config.loading.entry import check_entry
from engine.config.root import Config
from engine.errors import ConfigError

#: Random bytes of a key, which is public, and of a secret.
KEY_BYTES, SECRET_BYTES = 10, 20

_T = TypeVar("_T")


def why_not(config: Config) -> str:
    """Why the applications cannot be edited here; "" where they can."""
    driver = config.app_manager.driver
    if driver == "sqlite":
        return ""
    where = "the configuration's file" if driver == "memory" else f"the {driver} database"
    return f'app_manager.driver: "{driver}" keeps the applications in {where}; they are changed there'


def add(config: Config, app_id: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Add an application; its entry, with a key and a secret made for it where `options` have none.

    Raises ConfigError, as all of these do.
    """
    entry: dict[str, Any] = {
        "id": app_id,
        "key": secrets.token_hex(KEY_BYTES),
        "secret": secrets.token_hex(SECRET_BYTES),
    } | dict(options)
    check_entry(entry, config)
    try:
        _edit(config, lambda table: table.add(entry))
    except sqlite3.IntegrityError:
        raise ConfigError(f"another application has the id {app_id} or the key {entry['key']} already") from None
    return entry


def rotate(config: Config, app_id: str) -> dict[str, Any]:
    """Give it a new secret beside its present one; the entry that it is then. There is place for two: during a rotation
    another one would shut out whoever has the first still.
    """

    def renew(entry: dict[str, Any]) -> dict[str, Any]:
        if entry.get("previous_secret"):
            raise ConfigError(
                f"application {app_id} has two secrets already; end that rotation first, once nobody uses the older one"
            )
        return {"secret": secrets.token_hex(SECRET_BYTES), "previous_secret": entry["secret"]}

    return change(config, app_id, renew)


def end_rotation(config: Config, app_id: str) -> None:
    """Take its previous secret away."""
    change(config, app_id, lambda entry: {"previous_secret": None})


def change(config: Config, app_id: str, changes: Callable[[dict[str, Any]], Mapping[str, Any]]) -> dict[str, Any]:
    """Change one application, if what comes of it can be used; the entry that it is then.

    :param changes: from its entry to the options that are to be others; None is an option's default.
    """

    def work(table: SqliteTable) -> dict[str, Any]:
        entries = table.entries() if table.exists() else []
        entry = next((entry for entry in entries if str(entry.get("id")) == app_id), None)
        if entry is None:
            raise _unknown(app_id)
        wanted = dict(changes(entry))
        changed = {name: value for name, value in (entry | wanted).items() if value is not None}
        check_entry(changed, config)
        table.change(app_id, wanted)
        return changed

    try:
        return _edit(config, work)
    except sqlite3.IntegrityError:
        raise ConfigError("another application has this key already") from None


def remove(config: Config, app_id: str) -> None:
    """Remove it with all that the file says of it."""
    if not _edit(config, lambda table: table.exists() and table.remove(app_id)):
        raise _unknown(app_id)


def _edit(config: Config, work: Callable[[SqliteTable], _T]) -> _T:
    if reason := why_not(config):
        raise ConfigError(reason)
    try:
        return work(SqliteTable(config.database.sqlite))
    except sqlite3.IntegrityError:
        raise
    except (sqlite3.Error, OSError) as error:
        trouble = getattr(error, "strerror", None) or error
        raise ConfigError(f"database.sqlite.path: {config.database.sqlite.path} cannot be used: {trouble}") from None


def _unknown(app_id: str) -> ConfigError:
    return ConfigError(f"there is no application {app_id}; python -m engine apps lists them")
