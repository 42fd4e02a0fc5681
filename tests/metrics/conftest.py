"""Metrics as a worker has them, in files that are closed at the end of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from engine.metrics.metrics import Metrics
from engine.metrics.values import MappedValues


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[[int | str], Metrics]]:
    """Makes the metrics of a new process in the given slot of `tmp_path`."""
    with ExitStack() as stack:

        def make(slot: int | str) -> Metrics:
            values = MappedValues(tmp_path, slot)
            stack.callback(values.close)
            return Metrics(values)

        yield make
