"""Moving about in the plain dicts and lists of a configuration. Knows nothing of any option."""

from __future__ import annotations

from typing import Any

from engine.config.option_path import Path

Document = dict[str, Any]


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


def leaves(value: Any, at: str = "") -> list[str]:
    """`a.b` of all that is no object in the object `value`; `at` alone when it is none itself."""
    if not isinstance(value, dict):
        return [at]
    return [leaf for key, item in value.items() for leaf in leaves(item, f"{at}.{key}" if at else key)]


def says_nothing(value: Any) -> bool:
    """Whether another server's option is switched off: null, false, 0, empty, or an object of such values."""
    if isinstance(value, dict):
        return all(map(says_nothing, value.values()))
    return value in (None, False, "", "false", "0", 0) or value == []


def twice(key: str) -> str:
    """What is said of a key that one object has twice."""
    return f'the key "{key}" is given twice in one object'
