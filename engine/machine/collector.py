"""Python's garbage collector at the start of a process. It decides nothing about when memory is given back later."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def resting() -> Iterator[None]:
    """Nothing is collected in here; to be put around imports.

    What a process imports stays as long as it lives, and comes in so many objects that looking at them again and again
    takes a fifth of the time. They are never looked at later either.
    """
    works = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if works:
            gc.enable()
