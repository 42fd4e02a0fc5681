"""Where families are declared, and where what was counted is passed on to be shown.

The areas declare their families with it. It knows no single metric.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from engine._fast.counting import Tally
from engine.metrics.families import Counter, Family, Gauge, Histogram, make_key
from engine.metrics.values import Values

Labels = tuple[str, ...]
LabelValues = Mapping[str, Labels]


class Registry:
    """:param values: where the numbers go when `flush` is called."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._touched: list[Tally] = []
        self._levels: dict[str, float] = {}
        self._begins: list[tuple[Family, Counter | Histogram]] = []
        self.families: list[Family] = []

    def counter(self, name: str, help: str, labels: Labels = (), values: LabelValues | None = None) -> Counter:
        family = self._declared(Family(name, "counter", help, labels, values or {}))
        counter = Counter(family, self._touched)
        self._begin_now_or_later(family, counter)
        return counter

    def gauge(self, name: str, help: str, labels: Labels = (), combine: str = "sum") -> Gauge:
        family = Family(name, "gauge", help, labels, combine="max" if combine == "max" else "sum")
        return Gauge(self._declared(family), self._levels)

    def histogram(self, name: str, help: str, labels: Labels, bounds: tuple[float, ...]) -> Histogram:
        family = self._declared(Family(name, "histogram", help, labels, bounds=bounds))
        histogram = Histogram(family, self._touched)
        self._begin_now_or_later(family, histogram)
        return histogram

    def begin(self, known: LabelValues) -> None:
        """Have all series begin at 0 whose label values follow from `known`, which names every value of some labels.

        A rate of what was never counted is nothing, not 0, and takes every expression that it is part of with it.
        """
        for family, counted in self._begins:
            # Only what is labelled with exactly these: a series of an application is none of its webhook's.
            if known.keys() <= set(family.labels):
                _begin(family, counted, {**family.values, **known})

    def flush(self) -> None:
        """Pass on all that was counted since the last call."""
        touched = self._touched[:]
        # In place: the counts hold this very list.
        self._touched.clear()
        for tally in touched:
            for key, amount in tally.take():
                self._values.add(key, amount)
        for key, level in self._levels.items():
            self._values.set(key, level)
        self._levels.clear()

    def value(self, name: str, *labels: str) -> float:
        """A counter, a gauge, or a sample of a histogram, of this process; 0 when it was never touched."""
        self.flush()
        return self._values.get(make_key(name, labels))

    def _declared(self, family: Family) -> Family:
        self.families.append(family)
        return family

    def _begin_now_or_later(self, family: Family, counted: Counter | Histogram) -> None:
        if all(label in family.values for label in family.labels):
            _begin(family, counted, family.values)
        else:
            self._begins.append((family, counted))


def _begin(family: Family, counted: Counter | Histogram, known: LabelValues) -> None:
    if all(label in known for label in family.labels):
        values: Sequence[Labels] = [known[label] for label in family.labels]
        for labels in itertools.product(*values):
            counted.of(*labels)
