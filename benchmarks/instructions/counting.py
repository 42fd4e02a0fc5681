"""Counts what a function executes, between marks that callgrind sees. Used inside valgrind only, by hot.py."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from itertools import repeat
from pathlib import Path

#: Runs before counting begins: caches, free lists and lazily made objects belong to nobody's cost.
WARM_UP = 20
#: Counts taken of each case, of which the least is the function's own: a table that grows may fall into some of them.
ROUNDS = 5


class Marks:
    """Needs the clock of clock.c to be preloaded. :param library: the compiled marks.c."""

    def __init__(self, library: Path) -> None:
        self._preloaded = ctypes.CDLL(None)
        self._marks = ctypes.CDLL(str(library))
        self._marks.marks_store.argtypes = [ctypes.c_char_p]

    def begin(self) -> None:
        """From here on valgrind is slow, and no timer falls due."""
        gc.collect()
        gc.disable()
        self._preloaded.clock_stop()
        self._marks.marks_begin()

    def end(self) -> None:
        """Timers run again; a worker may need them to stop."""
        self._preloaded.clock_go_on()

    def count(
        self, name: str, times: int, work: Callable[[], object], between: Callable[[], object] | None = None
    ) -> None:
        """Store under `name` what `times` calls of `work` execute, ROUNDS times.

        :param between: called after each call, without being counted.
        """
        for _ in repeat(None, WARM_UP):
            work()
            if between is not None:
                between()
        for _ in repeat(None, ROUNDS):
            self._round(name, times, work, between)

    def _round(self, name: str, times: int, work: Callable[[], object], between: Callable[[], object] | None) -> None:
        if between is None:
            self._marks.marks_count()
            for _ in repeat(None, times):
                work()
        else:
            for _ in repeat(None, times - 1):
                self._marks.marks_count()
                work()
                self._marks.marks_count()
                between()
            self._marks.marks_count()
            work()
        self._marks.marks_store(f"{name}:{times}".encode())
        if between is not None:
            between()
