"""The three kinds of metrics, each a family of numbers told apart by label values.

Declared in `engine/metrics/metrics.py`, written through a `Values`, put together again by `page.py`.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from dataclasses import dataclass
from typing import Literal

from engine.metrics.values import Values

#: Combinations of label values that a family keeps apart; any further one is counted under OTHER. Label values can be
#: under a client's influence, and neither memory nor the page may grow with them.
MAX_SERIES = 5_000
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Family:
    """What is declared once about a metric.

    :param name: without the configured prefix, exactly as the page shows it (M-5).
    :param labels: names of its label values, in order; the page adds `port`.
    :param bounds: upper bounds of a histogram's buckets, without +Inf.
    :param combine: how the levels of several workers make one.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    combine: Literal["sum", "max"] = "sum"

    @property
    def bucket(self) -> str:
        return f"{self.name}_bucket"

    @property
    def sum(self) -> str:
        return f"{self.name}_sum"


class Counter:
    """Only grows, over the deaths of its process too."""

    def __init__(self, family: Family, values: Values) -> None:
        self._values = values
        self._keys = _Keys(family.name, len(family.labels))
        if not family.labels:
            values.add(self._keys.of(()), 0)

    def add(self, amount: float, *labels: str) -> None:
        if amount:
            # The keys are asked only for what they do not know: this runs several times for each publish.
            self._values.add(self._keys.known.get(labels) or self._keys.of(labels), amount)


class Gauge:
    """A level, gone with its process."""

    def __init__(self, family: Family, values: Values) -> None:
        self._values = values
        self._keys = _Keys(family.name, len(family.labels))

    def set(self, level: float, *labels: str) -> None:
        self._values.set(self._keys.of(labels), level)


class Histogram:
    """Counts observations by size. Buckets are stored apart and summed up on the page."""

    def __init__(self, family: Family, values: Values) -> None:
        self._values = values
        self._bounds = family.bounds
        self._sums = _Keys(family.sum, len(family.labels))
        ends = [*map(str, range(len(family.bounds) + 1))]
        self._buckets = [_Keys(family.bucket, len(family.labels), end) for end in ends]

    def observe(self, size: float, *labels: str) -> None:
        self._values.add(self._buckets[bisect_left(self._bounds, size)].of(labels), 1)
        self._values.add(self._sums.of(labels), size)


class _Keys:
    """The stored key of each combination of label values; bounded."""

    def __init__(self, sample: str, count: int, *suffix: str) -> None:
        self._sample = sample
        self._suffix = suffix
        self._count = count
        #: Label values -> key, of those met so far.
        self.known: dict[tuple[str, ...], str] = {}

    def of(self, labels: tuple[str, ...]) -> str:
        found = self.known.get(labels)
        if found is None:
            if len(self.known) >= MAX_SERIES:
                return make_key(self._sample, (OTHER,) * self._count + self._suffix)
            found = self.known[labels] = make_key(self._sample, labels + self._suffix)
        return found


def make_key(sample: str, labels: tuple[str, ...]) -> str:
    return json.dumps([sample, *map(str, labels)])


def split_key(key: str) -> tuple[str, tuple[str, ...]]:
    """(sample name, label values) of a stored key."""
    sample, *labels = json.loads(key)
    return sample, tuple(labels)
