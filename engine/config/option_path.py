"""Where an option stands in the configuration, and how that is written for people. Pure."""

from __future__ import annotations

import json
import re

#: Keys of objects and positions in lists, from the outermost.
Path = tuple[str | int, ...]

#: A hump: `maxConnections`, `MaxConnections`.
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")


def dotted(path: Path, *, start: bool = True) -> str:
    """`app_manager.array.apps[0].id`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_plain(part)}" for part in path)
    return text.removeprefix(".") if start else text


def snake_case(name: str) -> str:
    """`maxConnections` and `MaxConnections` as options are named here: `max_connections`."""
    return _HUMP.sub("_", name).lower()


def _plain(name: str) -> str:
    """A key that would break the line, or be taken for a path, is quoted."""
    return name if _NAME.match(name) else json.dumps(name)
