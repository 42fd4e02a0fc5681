"""`python -m engine apps add|set|rotate|enable|disable|remove`: the applications of a SQLite file.

Reads what was typed and prints what came of it; it never touches the file, which is for `engine/apps/edit.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from engine.apps import edit
from engine.cli.text import say
from engine.config.apps import AppConfig
from engine.config.base import did_you_mean
from engine.config.root import Config
from engine.errors import ConfigError


def add(config: Config, app_id: str, key: str | None, secret: str | None, options: Sequence[str]) -> int:
    """Add an application and print how clients and back ends are told of it. Returns the exit status."""
    given = {name: value for name, value in (("key", key), ("secret", secret)) if value is not None}
    said = _options(options)
    for name in said.keys() & {"id", *given}:
        raise ConfigError(f"{name}: is given twice")
    _print_credentials(edit.add(config, app_id, given | said))
    return 0


def set_options(config: Config, app_id: str, options: Sequence[str]) -> int:
    """Change options of one application. Returns the exit status."""
    changes = _options(options)
    for name in changes:
        if name in ("id", "secret"):
            other = "apps rotate" if name == "secret" else "apps remove and apps add"
            raise ConfigError(f"{name}: is not changed like this; use {other}")
    edit.change(config, app_id, lambda entry: changes)
    say(f"application {app_id}: {', '.join(changes)} changed")
    return 0


def rotate(config: Config, app_id: str, *, finish: bool) -> int:
    """Give an application a new secret beside its present one, or take the previous one away. The exit status."""
    if finish:
        edit.end_rotation(config, app_id)
        say(f"application {app_id}: only its present secret is accepted now")
        return 0
    _print_credentials(edit.rotate(config, app_id))
    say("The secret before this one is accepted too, until: python -m engine apps rotate --finish " + app_id)
    return 0


def enable(config: Config, app_id: str, *, enabled: bool) -> int:
    """Let clients and requests of an application in, or send them away. Returns the exit status."""
    edit.change(config, app_id, lambda entry: {"enabled": enabled})
    say(f"application {app_id}: {'enabled' if enabled else 'disabled'}")
    return 0


def remove(config: Config, app_id: str) -> int:
    """Remove an application with all that the file says of it. Returns the exit status."""
    edit.remove(config, app_id)
    say(f"application {app_id}: removed")
    return 0


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
