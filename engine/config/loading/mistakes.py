"""The mistakes found in a configuration, and how one is shown: key path, value, what is allowed.

Filled by every step of `load.py`. A secret's value is never shown, whatever is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from engine.config.option_path import Path, dotted
from engine.errors import ConfigError

#: Keys whose value, or everything below them, is a secret.
SECRET_KEYS = frozenset(
    {
        "secret",
        "previous_secret",
        "password",
        "passphrase",
        "sentinel_password",
        "headers",
        "aws_secret_access_key",
    }
)
_SHOWN = 80
ABSENT = object()


class Mistakes:
    """Collects one line for each wrong place; the first finding about a place stands.

    :ivar written: how the user wrote a path that was moved or renamed, by its present form.
    :ivar copies: paths that have another option's value, which tells what is wrong with it.
    """

    def __init__(self) -> None:
        self.written: dict[Path, str] = {}
        self.copies: set[Path] = set()
        self._lines: dict[Path, str] = {}

    def __contains__(self, path: Path) -> bool:
        return path in self._lines

    def add(self, path: Path, message: str, value: Any = ABSENT) -> None:
        """Note that `path` is wrong. `message` goes on after the value ("is not a whole number; ...")."""
        if path in self.copies:
            return
        shown = "" if value is ABSENT else f"{show(path, value)} "
        self._lines.setdefault(path, f"{self.name(path)}: {shown}{message}")

    def name(self, path: Path) -> str:
        """The path as the user knows it."""
        for length in range(len(path), 0, -1):
            written = self.written.get(path[:length])
            if written is not None:
                return written + dotted(path[length:], start=False)
        return dotted(path)

    def lines(self) -> list[str]:
        return list(self._lines.values())

    def raise_if_any(self) -> None:
        if self._lines:
            raise ConfigError("\n".join(self.lines()))


def show(path: Path, value: Any) -> str:
    """A value for an error line: short, on one line, without anything secret."""
    if any(part in SECRET_KEYS for part in path):
        return "the value (not shown)"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return "a list" if value else "an empty list"
    if isinstance(value, str):
        value = without_credentials(value)
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def without_credentials(text: str) -> str:
    """The text with *** for what stands before the @ of a URL, or of something that was meant to be one."""
    before, at, after = text.rpartition("@")
    if not at or ":" not in before:
        return text
    scheme, separator, _ = before.partition("://")
    return f"{scheme}{separator}***@{after}" if separator else f"***@{after}"
