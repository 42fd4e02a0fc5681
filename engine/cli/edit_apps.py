"""`python -m engine apps add|set|rotate|enable|disable|remove`: the applications of a SQLite file.

Edits the file and nothing else: engines that run see the change by themselves.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from engine.apps.sqlite_table import SqliteTable
from engine.cli.text import say
from engine.config.apps import AppConfig
from engine.config.base import did_you_mean
from engine.config.loading.entry import check_entry
from engine.config.root import Config
from engine.errors import ConfigError

#: Random bytes of a key, which is public, and of a secret.
KEY_BYTES, SECRET_BYTES = 10, 20

_T = TypeVar("_T")


def add(config: Config, app_id: str, key: str | None, secret: str | None, options: Sequence[str]) -> int:
    """Add an application and print how clients and back ends are told of it. Returns the exit status."""
    entry: dict[str, Any] = {
        "id": app_id,
        "key": key or secrets.token_hex(KEY_BYTES),
        "secret": secret or secrets.token_hex(SECRET_BYTES),
    } | _options(options)
    check_entry(entry, config)
    try:
        _edit(config, lambda table: table.add(entry))
    except sqlite3.IntegrityError:
        raise ConfigError(f"another application has the id {app_id} or the key {entry['key']} already") from None
    _print_credentials(entry)
    return 0


def set_options(config: Config, app_id: str, options: Sequence[str]) -> int:
    """Change options of one application. Returns the exit status."""
    changes = _options(options)
    for name in changes:
        if name in ("id", "secret"):
            other = "apps rotate" if name == "secret" else "apps remove and apps add"
            raise ConfigError(f"{name}: is not changed like this; use {other}")
    _change(config, app_id, lambda entry: changes)
    say(f"application {app_id}: {', '.join(changes)} changed")
    return 0


def rotate(config: Config, app_id: str, *, finish: bool) -> int:
    """Give an application a new secret beside its present one, or take the previous one away. The exit status."""
    if finish:
        _change(config, app_id, lambda entry: {"previous_secret": None})
        say(f"application {app_id}: only its present secret is accepted now")
        return 0
    new = secrets.token_hex(SECRET_BYTES)
    entry = _change(config, app_id, lambda entry: {"secret": new, "previous_secret": entry["secret"]})
    _print_credentials(entry)
    say("The secret before this one is accepted too, until: python -m engine apps rotate --finish " + app_id)
    return 0


def enable(config: Config, app_id: str, *, enabled: bool) -> int:
    """Let clients and requests of an application in, or send them away. Returns the exit status."""
    _change(config, app_id, lambda entry: {"enabled": enabled})
    say(f"application {app_id}: {'enabled' if enabled else 'disabled'}")
    return 0


def remove(config: Config, app_id: str) -> int:
    """Remove an application with all that the file says of it. Returns the exit status."""
    if not _edit(config, lambda table: table.exists() and table.remove(app_id)):
        raise _unknown(app_id)
    say(f"application {app_id}: removed")
    return 0


def _change(config: Config, app_id: str, changes: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Change one application, if what comes of it can be used; the entry that it is then."""

    def work(table: SqliteTable) -> dict[str, Any]:
        entries = table.entries() if table.exists() else []
        entry = next((entry for entry in entries if str(entry.get("id")) == app_id), None)
        if entry is None:
            raise _unknown(app_id)
        wanted = changes(entry)
        changed = {name: value for name, value in (entry | wanted).items() if value is not None}
        check_entry(changed, config)
        table.change(app_id, wanted)
        return changed

    try:
        return _edit(config, work)
    except sqlite3.IntegrityError:
        raise ConfigError("another application has this key already") from None


def _edit(config: Config, work: Callable[[SqliteTable], _T]) -> _T:
    driver = config.app_manager.driver
    if driver != "sqlite":
        where = "the configuration's file" if driver == "memory" else f"the {driver} database"
        raise ConfigError(f'app_manager.driver: "{driver}" keeps the applications in {where}; they are changed there')
    try:
        return work(SqliteTable(config.database.sqlite))
    except sqlite3.IntegrityError:
        raise
    except (sqlite3.Error, OSError) as error:
        told = getattr(error, "strerror", None) or error
        raise ConfigError(f"database.sqlite.path: {config.database.sqlite.path} cannot be used: {told}") from None


def _options(given: Sequence[str]) -> dict[str, Any]:
    """`max_connections=100`: the value as JSON, and as text where it is none; `null` is the default."""
    found: dict[str, Any] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals:
            raise ConfigError(f"{item}: is not an option and its value; write it as max_connections=100")
        if name not in AppConfig.model_fields:
            raise ConfigError(f"{name}: unknown option{did_you_mean(name, list(AppConfig.model_fields))}")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def _print_credentials(entry: dict[str, Any]) -> None:
    """As a back end's environment has them."""
    say(f"PUSHER_APP_ID={entry['id']}")
    say(f"PUSHER_APP_KEY={entry['key']}")
    say(f"PUSHER_APP_SECRET={entry['secret']}")


def _unknown(app_id: str) -> ConfigError:
    return ConfigError(f"there is no application {app_id}; python -m engine apps lists them")
