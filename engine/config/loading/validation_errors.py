"""What pydantic found, in our words: one line for each place, with the key path the user wrote.

Never shows a secret.
"""

from __future__ import annotations

import types
from typing import Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from engine.config.base import Section, did_you_mean
from engine.config.loading.mistakes import ABSENT, Mistakes
from engine.config.loading.unsupported import moved
from engine.config.option_path import Path
from engine.config.root import Config

_KINDS = {
    "model_type": "is not an object; written as {...}",
    "model_attributes_type": "is not an object; written as {...}",
    "dict_type": "is not an object; written as {...}",
    "tuple_type": "is not a list; written as [...]",
    "string_type": "is not text",
}


def collect(error: ValidationError, mistakes: Mistakes) -> None:
    """Add every finding, in the order of the options."""
    for detail in error.errors(include_url=False):
        _add(detail, mistakes)


def _add(detail: ErrorDetails, mistakes: Mistakes) -> None:
    path = detail["loc"]
    kind = detail["type"]
    if kind == "missing":
        mistakes.add(path, "is missing")
    elif kind == "extra_forbidden":
        mistakes.add(path, f"unknown key{_suggestion(path)}")
    elif path[-1:] == ("[key]",):
        # pydantic's name for "the key of this dict entry, not its value".
        mistakes.add(path[:-1], _message(detail))
    else:
        mistakes.add(path, _message(detail), detail.get("input", ABSENT))


def _message(detail: ErrorDetails) -> str:
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    return _KINDS.get(detail["type"], f"is not valid: {detail['msg']}")


def _suggestion(path: Path) -> str:
    target = moved(path)
    if target is not None:
        return f'; did you mean "{target}"?'
    section = _section_at(path[:-1])
    known = [] if section is None else [field.alias or name for name, field in section.model_fields.items()]
    return did_you_mean(str(path[-1]), known) or f"; known here: {', '.join(known)}"


def _section_at(path: Path) -> type[Section] | None:
    section: type[Section] | None = Config
    for part in path:
        if section is None:
            return None
        if isinstance(part, str):
            named = {field.alias or name: field for name, field in section.model_fields.items()}
            section = _section_in(named[part].annotation) if part in named else None
    return section


def _section_in(annotation: Any) -> type[Section] | None:
    """The section class inside `X`, `X | None` or `tuple[X, ...]`."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation if issubclass(annotation, Section) else None
    if get_origin(annotation) in (tuple, Union, types.UnionType):
        return next((found for part in get_args(annotation) if (found := _section_in(part)) is not None), None)
    return None
