"""Every option as people look it up: path, what is allowed, default, meaning, and whether a reload changes it.

Read from the models themselves, so that there is nothing to keep in step. Pure; it prints nothing.
"""

from __future__ import annotations

import inspect
import json
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from engine.config.reload import applicable
from engine.config.root import Config

_M = TypeVar("_M", bound=BaseModel)
#: A model's other fields (`:cvar`) are for the code.
_PARAM = re.compile(r":param (\w+):")
_CVAR = re.compile(r":cvar .*")
#: What stands in a model's explanation for its neighbours in the code, not for people.
_CODE = re.compile(r"\s*\((?:[A-Z]-\d+(?:, )?)+\)")
_PLAIN = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True, slots=True)
class Option:
    """:param path: `queue.redis.prefix`; `[]` stands for each item of a list.
    :param allowed: in words. :param default: as JSON; None for what must be given.
    :param meaning: a sentence or two; empty where the name says it.
    :param reloads: SIGHUP brings a new value into a running engine; any other waits for a restart.
    """

    path: str
    allowed: str
    default: str | None
    meaning: str
    reloads: bool


@dataclass(frozen=True, slots=True)
class Group:
    """One object of the configuration with its own options, in the order of the models."""

    path: str
    meaning: str
    options: tuple[Option, ...]


def groups() -> list[Group]:
    """All of them, the outermost first."""
    return list(_groups(Config, "", _reloading(Config, applicable(_with_all(), _replaced()))))


def _groups(model: type[BaseModel], path: str, now: Any) -> Iterator[Group]:
    """:param now: True when all below is followed by a reload, else the section after one (see `_replaced`)."""
    meaning, meanings = _explained(model)
    options: list[Option] = []
    inner: list[tuple[type[BaseModel], str, Any]] = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        at = f"{path}.{key}" if path else key
        reloads = now if isinstance(now, bool) else now[name]
        section, items = _section(field.annotation)
        if section is not None:
            inner.append((section, f"{at}[]" if items else at, True if items else reloads))
        if section is None or items or _may_be_null(field):
            default = None if field.is_required() else _json(field)
            options.append(Option(at, allowed(field), default, meanings.get(name, ""), reloads is True))
    yield Group(path, meaning, tuple(options))
    for section, at, below in inner:
        yield from _groups(section, at, below)


def _may_be_null(field: FieldInfo) -> bool:
    return not field.is_required() and field.get_default(call_default_factory=True) is None


def allowed(field: FieldInfo) -> str:
    """What a value may be, in the words that its refusal would use."""
    return _allowed(field.annotation, field.metadata)


def _allowed(annotation: Any, metadata: list[Any]) -> str:
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        return _allowed(annotation, [*metadata, *more])
    if annotation is bool:
        return _PLAIN[bool]
    if words := next(filter(None, map(_allowance, metadata)), None):
        return words
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        parts = dict.fromkeys(_allowed(part, []) for part in get_args(annotation) if part is not type(None))
        words = " or ".join(parts).replace(", -1 or null for no limit", " or -1 for no limit")
        return f"{words}, or null" if ", " in words or " or " in words else f"{words} or null"
    if origin is tuple:
        item = get_args(annotation)[0]
        words = _allowed(item, [])
        return "a list of objects" if _section(item)[0] else f"a list; each: {words}" if words else "a list"
    if origin is dict:
        return "an object of texts"
    if origin is Literal:
        return ", ".join(map(str, get_args(annotation)))
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "an object"
    return _PLAIN.get(annotation, "")


def _allowance(rule: Any) -> str | None:
    """The second half of what a rule says of a value that cannot be right."""
    if isinstance(rule, BeforeValidator):
        try:
            rule.func(object())  # type: ignore[call-arg]
        except ValueError as refusal:
            _, found, words = str(refusal).partition("; ")
            return words.removeprefix("allowed: ") if found else None
        except TypeError:
            return None
    return None


def _section(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model in a field, and whether the field is a list of such."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation, False
    if get_origin(annotation) is tuple:
        return _section(get_args(annotation)[0])[0], True
    if get_origin(annotation) in (Union, types.UnionType):
        found = [_section(part) for part in get_args(annotation)]
        return next((pair for pair in found if pair[0] is not None), (None, False))
    return None, False


def _json(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    return json.dumps(default, ensure_ascii=False, default=str)


@cache
def _explained(model: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """What a model's docstring says of itself, and of each field; a model has what its base says, too."""
    meanings: dict[str, str] = {}
    for base in model.__mro__[1:]:
        if base is not BaseModel and issubclass(base, BaseModel) and base.__module__ == model.__module__:
            meanings |= _explained(base)[1]
    words = _CVAR.sub("", " ".join((model.__dict__.get("__doc__") or "").split()))
    own, *parts = _PARAM.split(words)
    waiting: list[str] = []
    for name, meaning in zip(parts[::2], parts[1::2], strict=True):
        waiting.append(name)
        if meaning.strip():
            meanings |= dict.fromkeys(waiting, _plain(meaning))
            waiting = []
    return _plain(own), meanings


def _plain(words: str) -> str:
    return _CODE.sub("", words).strip()


# --- what a reload brings


class _New:
    """Stands for a value that the running engine does not have."""

    def __bool__(self) -> bool:
        return True


def _with_all() -> Config:
    plain = Config()
    return plain.model_copy(
        update={
            "ssl": plain.ssl.model_copy(update={"enabled": True}),
            "console": plain.console.model_copy(update={"password": "given"}),
        }
    )


def _replaced() -> Config:
    """A configuration in which everything is new but where applications come from."""
    found = _all_new(Config)
    return found.model_copy(
        update={"app_manager": found.app_manager.model_copy(update={"driver": Config().app_manager.driver})}
    )


def _all_new(model: type[_M]) -> _M:
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        section, items = _section(field.annotation)
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        values[name] = _all_new(section) if section is not None and not items and default is not None else _New()
    return model.model_construct(**values)


def _reloading(model: type[BaseModel], after: Any) -> Any:
    """Field -> True, False, or the same of the section in it."""
    found: dict[str, Any] = {}
    for name in model.model_fields:
        value = getattr(after, name)
        found[name] = _reloading(type(value), value) if isinstance(value, BaseModel) else isinstance(value, _New)
    return found
