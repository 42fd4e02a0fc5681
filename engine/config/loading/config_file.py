"""Reading the configuration file, JSON, TOML or YAML by its ending, into plain dicts and lists.

It knows no option, and no environment: what a text stands for is for the steps that follow.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

from engine.config.loading.document import Document, twice
from engine.errors import ConfigError

_TOML_PLACE = re.compile(r"(.*) \(at (line \d+, column \d+)\)\Z", re.DOTALL)


def read(path: FilePath) -> Document:
    """The object that the file holds; ConfigError, with line and column where there are any, when it holds none."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"config file {path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"config file {path}: byte {error.start} is not UTF-8") from None
    except OSError as error:
        raise ConfigError(f"config file {path}: cannot be read: {error.strerror}") from None
    form, parse = FORMATS.get(path.suffix.lower(), ("JSON", _json))
    try:
        document = parse(content)
    except RecursionError:
        raise ConfigError(f"config file {path}: nested too deeply") from None
    except ValueError as error:
        raise ConfigError(f"config file {path}: {error}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"config file {path}: must hold a {form} object, {{...}}")
    return document


def _json(content: str) -> Any:
    try:
        return json.loads(content, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}") from None


def _once(pairs: list[tuple[str, Any]]) -> Document:
    document: Document = {}
    for key, value in pairs:
        if key in document:
            raise ValueError(twice(key))
        document[key] = value
    return document


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")


def _toml(content: str) -> Any:
    try:
        return tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        placed = _TOML_PLACE.match(str(error))
        message, place = (placed[1], f"{placed[2]}: ") if placed else (str(error), "")
        raise ValueError(f"{place}not valid TOML: {message}") from None


def _yaml(content: str) -> Any:
    # Imported only here: who has no YAML need not wait for it.
    from engine.config.loading.yaml_file import parse

    return parse(content)


#: Ending of the file's name -> the format's name, and what reads it. A file with any other ending is JSON.
FORMATS: dict[str, tuple[str, Callable[[str], Any]]] = {
    ".json": ("JSON", _json),
    ".toml": ("TOML", _toml),
    ".yaml": ("YAML", _yaml),
    ".yml": ("YAML", _yaml),
}
