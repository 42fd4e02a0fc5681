"""Reading the configuration file into plain dicts and lists, and moving about in them.

Called by `load.py` and the steps it runs. Knows nothing of any option.
"""

from __future__ import annotations

import json
from pathlib import Path as FilePath
from typing import Any

from engine.config.option_path import Path
from engine.errors import ConfigError

Document = dict[str, Any]


def read(path: FilePath) -> Document:
    """The file's JSON object; ConfigError with line and column when it is none."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"config file {path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"config file {path}: byte {error.start} is not UTF-8") from None
    except OSError as error:
        raise ConfigError(f"config file {path}: cannot be read: {error.strerror}") from None
    try:
        document = json.loads(content, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ConfigError(f"config file {path}: {place}: not valid JSON: {error.msg}") from None
    except RecursionError:
        raise ConfigError(f"config file {path}: nested too deeply") from None
    except ValueError as error:
        raise ConfigError(f"config file {path}: {error}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"config file {path}: must hold a JSON object, {{...}}")
    return document


def get(document: Any, path: Path) -> Any:
    """The value at `path`; None where there is none, or where something on the way is of another type."""
    for part in path:
        if isinstance(part, int):
            document = document[part] if isinstance(document, list) and part < len(document) else None
        else:
            document = document.get(part) if isinstance(document, dict) else None
    return document


def put(document: Document, path: Path, value: Any) -> bool:
    """Set `path` (names only), making the objects on the way; False when something on the way is no object."""
    for part in path[:-1]:
        child = document.get(str(part))
        if child is None:
            child = document[str(part)] = {}
        if not isinstance(child, dict):
            return False
        document = child
    document[str(path[-1])] = value
    return True


def objects(document: Any, path: Path) -> list[tuple[Path, Document]]:
    """The objects in the list at `path`, each with its own path; anything else in it is left out."""
    found = get(document, path)
    if not isinstance(found, list):
        return []
    return [((*path, index), item) for index, item in enumerate(found) if isinstance(item, dict)]


def _once(pairs: list[tuple[str, Any]]) -> Document:
    document: Document = {}
    for key, value in pairs:
        if key in document:
            raise ValueError(f'the key "{key}" is given twice in one object')
        document[key] = value
    return document


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")
