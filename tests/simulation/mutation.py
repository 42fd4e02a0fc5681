"""Faults put into the engine on purpose, to see that the simulation finds them. The lists are in `mutations/`.

A fault is a change of text: in a script, or in the source of one function, which is compiled anew in its module.
"""

from __future__ import annotations
import __future__

import contextlib
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock


@dataclass(frozen=True, slots=True)
class Mutation:
    """`old`, which stands there once, becomes `new`.

    :param name: what goes wrong. :param place: a script's name, or `module:Class.function` below `engine`.
    :param loses: True if it shows only where the server loses data, False if only where it loses none.
    :param first: the seed to begin with, for one that takes a chain of events which few seeds bring about.
    """

    name: str
    place: str
    old: str
    new: str = ""
    loses: bool | None = None
    first: int = 0

    @property
    def in_script(self) -> bool:
        return ":" not in self.place

    def of(self, source: str) -> str:
        """The source with the fault in it."""
        if source.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.old!r} should stand once in {self.place}")
        return source.replace(self.old, self.new)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Put the fault into the function. One in a script is put in by the simulated server."""
        if self.in_script:
            yield
            return
        module_name, _, path = self.place.partition(":")
        module = importlib.import_module(f"engine.{module_name}")
        owner_name, _, name = path.partition(".")
        owner = getattr(module, owner_name)
        with mock.patch.object(owner, name, self._compiled(module, getattr(owner, name))):
            yield

    def _compiled(self, module: Any, function: Any) -> Any:
        source = self.of(textwrap.dedent(inspect.getsource(function)))
        flags = __future__.annotations.compiler_flag
        made: dict[str, Any] = {}
        exec(compile(source, f"<{self.name}>", "exec", flags, dont_inherit=True), vars(module), made)
        return made[function.__name__]
