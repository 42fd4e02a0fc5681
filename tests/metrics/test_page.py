"""The numbers of several processes on one page."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.config.server import MetricsConfig, PrometheusConfig
from engine.metrics.metrics import Metrics
from engine.metrics.server import MetricsServer
from engine.metrics.values import MappedValues

ROOT = Path(__file__).resolve().parents[2]


Worker = Callable[[int | str], Metrics]


def server(directory: Path, prefix: str = "sockudo_") -> MetricsServer:
    return MetricsServer(
        Metrics().families, MetricsConfig(prometheus=PrometheusConfig(prefix=prefix)), 6001, str(directory)
    )


def samples(directory: Path, prefix: str = "sockudo_") -> dict[str, str]:
    """Series -> number, as the page's lines have them."""
    text = server(directory, prefix).render().decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    assert len({series for series, _, _ in lines}) == len(lines), "no series may be there twice"
    return {series: number for series, _, number in lines}


def count(metrics: Metrics, connections: int, opened: int, app_id: str = "a") -> None:
    """What a worker does each second."""
    metrics.connections.open.set(connections, app_id)
    metrics.connections.opened.add(opened, app_id)
    metrics.flush()


def test_all_workers_are_summed(tmp_path: Path, worker: Worker) -> None:
    for slot, connections in ((0, 3), (1, 4), (2, 0)):
        metrics = worker(slot)
        metrics.connections.open.set(connections, "a")
        metrics.connections.sent_bytes.add(1_000_000_000_000, "a")
        metrics.webhooks.duration_s.observe(0.001 * 10**slot, "a", "e")
        metrics.connections.slow.add(slot)
        metrics.flush()
    found = samples(tmp_path)
    assert found['sockudo_connected{app_id="a",port="6001"}'] == "7"
    assert found['sockudo_socket_transmitted_bytes{app_id="a",port="6001"}'] == "3000000000000"
    assert found['sockudo_slow_consumers_total{port="6001"}'] == "3"
    bucket = 'sockudo_webhook_duration_seconds_bucket{app_id="a",endpoint="e",port="6001",le="%s"}'
    assert [found[bucket % bound] for bound in ("0.005", "0.01", "0.1", "+Inf")] == ["1", "2", "3", "3"]
    assert found['sockudo_webhook_duration_seconds_count{app_id="a",endpoint="e",port="6001"}'] == "3"


def test_ages_are_not_summed(tmp_path: Path, worker: Worker) -> None:
    for slot, age in ((0, 1.5), (1, 4.25), (2, 0.0)):
        metrics = worker(slot)
        metrics.webhooks.set_queue({"waiting": 2}, age)
        metrics.flush()
    found = samples(tmp_path)
    assert found['sockudo_webhook_pending_age_seconds{port="6001"}'] == "4.25"
    assert found['sockudo_webhook_queue_depth{state="waiting",port="6001"}'] == "6"


def test_counters_survive_a_worker_and_gauges_do_not(tmp_path: Path, worker: Worker) -> None:
    series = 'sockudo_connected{app_id="a",port="6001"}', 'sockudo_new_connections_total{app_id="a",port="6001"}'
    count(worker(0), 10, 10)
    count(worker(1), 1, 1)
    assert [samples(tmp_path)[name] for name in series] == ["11", "11"]

    server(tmp_path).forget(0)
    assert [samples(tmp_path)[name] for name in series] == ["1", "11"]

    count(worker(0), 2, 2)
    assert [samples(tmp_path)[name] for name in series] == ["3", "13"]
    assert len(list(tmp_path.iterdir())) == 4, "files do not multiply with each start"


def test_a_new_worker_starts_without_the_gauges_of_a_former_one_that_nobody_forgot(
    tmp_path: Path, worker: Worker
) -> None:
    count(worker(0), 10, 10)
    worker(0)
    found = samples(tmp_path)
    assert 'sockudo_connected{app_id="a",port="6001"}' not in found
    assert found['sockudo_new_connections_total{app_id="a",port="6001"}'] == "10"


def test_forgetting_a_slot_that_never_was(tmp_path: Path) -> None:
    server(tmp_path).forget(7)


def test_numbers_of_a_killed_process_are_there(tmp_path: Path) -> None:
    """What was passed on needs no closing for the page to be right."""
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom engine.metrics.metrics import Metrics\n"
        "from engine.metrics.values import MappedValues\n"
        "metrics = Metrics(MappedValues(Path(sys.argv[1]), 3))\n"
        "for _ in range(1000): metrics.events.published.add(1, 'a')\n"
        "metrics.flush()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, cwd=ROOT, timeout=30)
    assert samples(tmp_path)['sockudo_broadcast_messages_total{app_id="a",port="6001"}'] == "1000"


def test_numbers_are_passed_on_once(tmp_path: Path, worker: Worker) -> None:
    metrics = worker(0)
    for _ in range(3):
        metrics.events.by_clients.add(1, "a")
    metrics.adapter.connected.set(1)
    assert 'sockudo_client_events_total{app_id="a",port="6001"}' not in samples(tmp_path)
    metrics.flush()
    metrics.flush()
    metrics.events.by_clients.add(1, "a")
    assert metrics.value("client_events_total", "a") == 4
    assert samples(tmp_path)['sockudo_client_events_total{app_id="a",port="6001"}'] == "4"
    assert samples(tmp_path)['sockudo_redis_connected_workers{port="6001"}'] == "1"


def test_files_grow_with_the_number_of_series(tmp_path: Path, worker: Worker) -> None:
    metrics = worker(0)
    for number in range(3000):
        metrics.events.by_clients.add(1, f"app-{number:04}")
    metrics.flush()
    found = samples(tmp_path)
    assert sum(name.startswith("sockudo_client_events_total{") for name in found) == 3000
    assert metrics.value("client_events_total", "app-2999") == 1


@pytest.mark.parametrize("prefix", ["", "soketi_"])
def test_prefix(tmp_path: Path, worker: Worker, prefix: str) -> None:
    metrics = worker(0)
    metrics.events.published.add(1, "a")
    metrics.flush()
    assert samples(tmp_path, prefix)[f'{prefix}broadcast_messages_total{{app_id="a",port="6001"}}'] == "1"
    assert b"sockudo_" not in server(tmp_path, prefix).render()


def test_no_name_is_changed_and_any_label_is_readable(tmp_path: Path, worker: Worker) -> None:
    odd = 'a"b\\c\nd'
    metrics = worker(0)
    metrics.connections.received_bytes.add(5, odd)
    metrics.connections.errors.add(1, "\ud800", "x")
    metrics.flush()
    text = server(tmp_path).render().decode()
    assert "socket_received_bytes_total" not in text and "_created" not in text
    read = {
        (sample.name, sample.labels.get("app_id")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    # This parser, not the page, appends _total to what it reads.
    assert read[("sockudo_socket_received_bytes_total", odd)] == 5


def test_an_empty_directory_is_a_page_without_series(tmp_path: Path) -> None:
    assert samples(tmp_path) == {}


def test_what_comes_after_the_end_is_dropped(tmp_path: Path) -> None:
    values = MappedValues(tmp_path, 0)
    metrics = Metrics(values)
    count(metrics, 1, 1)
    values.close()
    values.close()
    count(metrics, 5, 5)
    assert samples(tmp_path)['sockudo_new_connections_total{app_id="a",port="6001"}'] == "1"
    assert metrics.value("connected", "a") == 0
