"""Sums over what all processes count, and the numbers of each worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from engine.metrics import figures
from engine.metrics.metrics import Metrics
from engine.metrics.values import MappedValues

FAMILIES = {family.name: family for family in Metrics().families}


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[list[Metrics]]:
    with ExitStack() as stack:
        values = [MappedValues(tmp_path, slot) for slot in (0, 1)]
        for each in values:
            stack.callback(each.close)
        yield [Metrics(each) for each in values]


def test_workers_are_summed_up_and_shown_each(tmp_path: Path, workers: list[Metrics]) -> None:
    for slot, metrics in enumerate(workers):
        metrics.connections.open.set(10 + slot, "a")
        metrics.connections.open.set(1, 'quo"ted')
        metrics.events.published.add(5, "a")
        metrics.process.resident_bytes.set(1000 + slot, str(slot))
        metrics.http.duration_s.observe(0.0002, "a")
        metrics.http.duration_s.observe(60.0, "a")
        metrics.flush()
    found = figures.read(tmp_path, FAMILIES)
    assert (found.sums["connected"], found.sums["broadcast_messages_total"]) == (23, 10)
    assert found.sums["webhook_dead_total"] == 0
    assert found.apps == {"a": 21, 'quo"ted': 2}
    assert {slot: worker["resident_bytes"] for slot, worker in found.workers.items()} == {"0": 1000, "1": 1001}
    buckets = found.buckets["http_request_duration_seconds"]
    assert (sum(buckets), buckets[1], buckets[-1]) == (4, 2, 2)
    assert len(buckets) == len(FAMILIES["http_request_duration_seconds"].bounds) + 1


def test_webhooks_are_shown_each_the_worst_first(tmp_path: Path, workers: list[Metrics]) -> None:
    for metrics in workers:
        metrics.webhooks.sent.add(3, "a", "good")
        metrics.webhooks.failed.add(2, "a", "bad")
        metrics.flush()
    bad, good = figures.read(tmp_path, FAMILIES).endpoints
    assert bad == {"app": "a", "id": "bad", "sent": 0, "failed": 4, "dead": 0}
    assert good == {"app": "a", "id": "good", "sent": 6, "failed": 0, "dead": 0}


def test_only_the_largest_applications_are_named(tmp_path: Path, workers: list[Metrics]) -> None:
    for n in range(figures.MAX_APPS + 5):
        workers[0].connections.open.set(n, f"app-{n}")
    workers[0].flush()
    apps = figures.read(tmp_path, FAMILIES).apps
    assert len(apps) == figures.MAX_APPS
    assert next(iter(apps)) == f"app-{figures.MAX_APPS + 4}"


def test_what_is_shown_is_declared(tmp_path: Path) -> None:
    assert {*figures.SUMS, *figures.OF_WORKERS, *figures.HISTOGRAMS} <= FAMILIES.keys()
    assert not any(figures.read(tmp_path, FAMILIES).sums.values())
