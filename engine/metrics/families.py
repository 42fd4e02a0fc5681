"""The three kinds of metrics, each a family of numbers that differ in their label values.

Declared in the areas (`traffic.py`, `cluster.py`, `webhooks.py`) with `registry.py`, put together again by `page.py`.
They count in memory only; the registry passes that on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from engine._fast.counting import AllSizes, Count, Counts, Sizes, Tally

#: Combinations of label values that a family keeps apart; any further one is counted under OTHER. Label values can be
#: under a client's influence, and neither memory nor the page may grow with them.
MAX_SERIES = 5_000
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Family:
    """What is declared once about a metric.

    :param name: without the configured prefix, exactly as the page shows it (M-5).
    :param labels: names of its label values, in order; the page adds `port`.
    :param values: the values that a label can have, where they are known beforehand; such series begin at 0.
    :param bounds: upper bounds of a histogram's buckets, without +Inf.
    :param combine: how the levels of several workers make one.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bounds: tuple[float, ...] = ()
    combine: Literal["sum", "max"] = "sum"

    @property
    def bucket(self) -> str:
        return f"{self.name}_bucket"

    @property
    def sum(self) -> str:
        return f"{self.name}_sum"


class Counter(Counts):
    """Only grows, over the deaths of its process too: `add(amount, *labels)`."""

    def __init__(self, family: Family, touched: list[Tally]) -> None:
        super().__init__()
        self._family = family
        self._touched = touched

    def make(self, labels: tuple[str, ...]) -> Count:
        """The count of label values that were not met before."""
        known = self.known
        if len(known) >= MAX_SERIES:
            labels = _others(self._family)
            if labels in known:
                return known[labels]
        made = known[labels] = Count(make_key(self._family.name, labels), self._touched)
        return made


class Gauge:
    """A level, gone with its process.

    :param levels: where it is put: stored key -> level, of those that changed.
    """

    def __init__(self, family: Family, levels: dict[str, float]) -> None:
        self._family = family
        self._levels = levels
        self._keys: dict[tuple[str, ...], str] = {}
        self._now: dict[str, float] = {}

    def set(self, level: float, *labels: str) -> None:
        key = self._keys.get(labels) or self._make(labels)
        self._now[key] = self._levels[key] = level

    def add(self, change: float, *labels: str) -> None:
        """Up or down from where it is, at first 0."""
        key = self._keys.get(labels) or self._make(labels)
        self._now[key] = self._levels[key] = self._now.get(key, 0.0) + change

    def _make(self, labels: tuple[str, ...]) -> str:
        """The stored key of label values that were not met before."""
        if len(self._keys) >= MAX_SERIES:
            return make_key(self._family.name, _others(self._family))
        made = self._keys[labels] = make_key(self._family.name, labels)
        return made


class Histogram(AllSizes):
    """Counts observations by size: `observe(size, *labels)`. Buckets are stored apart and summed up on the page."""

    def __init__(self, family: Family, touched: list[Tally]) -> None:
        super().__init__()
        self._family = family
        self._touched = touched

    def make(self, labels: tuple[str, ...]) -> Sizes:
        known, family = self.known, self._family
        if len(known) >= MAX_SERIES:
            labels = _others(family)
            if labels in known:
                return known[labels]
        ends = map(str, range(len(family.bounds) + 1))
        keys = tuple(make_key(family.bucket, (*labels, end)) for end in ends)
        made = known[labels] = Sizes(keys, make_key(family.sum, labels), family.bounds, self._touched)
        return made


def make_key(sample: str, labels: tuple[str, ...]) -> str:
    return json.dumps([sample, *map(str, labels)])


def split_key(key: str) -> tuple[str, tuple[str, ...]]:
    """(sample name, label values) of a stored key."""
    sample, *labels = json.loads(key)
    return sample, tuple(labels)


def _others(family: Family) -> tuple[str, ...]:
    return (OTHER,) * len(family.labels)
