"""Which cores a process runs on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def pinned(cores: set[int] | frozenset[int] | None) -> Iterator[None]:
    """What is started meanwhile runs on these cores for its whole life (None: wherever we do)."""
    before = os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
