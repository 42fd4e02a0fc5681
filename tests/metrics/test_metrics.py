"""What the areas declare, and how their families count."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from engine._fast.signature import Signer
from engine.app import App
from engine.metrics.cluster import BEGIN_APPS
from engine.metrics.families import MAX_SERIES, Counter, Gauge, Histogram
from engine.metrics.metrics import Metrics
from engine.metrics.page import render
from engine.metrics.values import MemoryValues
from tests.webhooks.making import make_app, make_endpoint

ENGINE = Path(__file__).resolve().parents[2] / "engine"


def page(metrics: Metrics, values: MemoryValues) -> str:
    metrics.flush()
    return render(metrics.families, values.numbers.items(), "sockudo_", "6001").decode()


def plain_app(number: int) -> App:
    return App(id=f"app-{number}", key=f"key-{number}", secret="s", signer=Signer("s"))


def areas(metrics: Metrics) -> dict[str, object]:
    return {name: area for name, area in vars(metrics).items() if type(area).__name__.endswith("Metrics")}


def test_counters_add_up_and_gauges_replace() -> None:
    metrics = Metrics()
    for connections in (5, 2):
        metrics.connections.open.set(connections, "a")
        metrics.connections.sent_bytes.add(10, "a")
        metrics.connections.open.set(1, "b")
    assert metrics.value("connected", "a") == 2
    assert metrics.value("connected", "b") == 1
    assert metrics.value("socket_transmitted_bytes", "a") == 20
    assert metrics.value("socket_transmitted_bytes", "b") == 0
    metrics.channels.active.add(2, "a", "public")
    metrics.channels.active.add(-1, "a", "public")
    assert metrics.value("active_channels", "a", "public") == 1


def test_a_histogram_counts_an_observation_in_its_bucket_and_in_all_above() -> None:
    values = MemoryValues()
    metrics = Metrics(values)
    for ms in (0.5, 7.0, 1_000_000.0):
        metrics.adapter.resolve_time_ms.observe(ms, "a")
    text = page(metrics, values)
    bucket = 'sockudo_horizontal_adapter_resolve_time_bucket{app_id="a",port="6001",le="%s"} %d\n'
    for bound, count in (("0.5", 1), ("5", 1), ("10", 2), ("5000", 2), ("+Inf", 3)):
        assert bucket % (bound, count) in text
    assert 'sockudo_horizontal_adapter_resolve_time_sum{app_id="a",port="6001"} 1000007.5\n' in text
    assert 'sockudo_horizontal_adapter_resolve_time_count{app_id="a",port="6001"} 3\n' in text


def test_a_bound_count_is_the_one_that_is_found_by_its_labels() -> None:
    metrics = Metrics()
    bound = metrics.events.published.of("a")
    assert metrics.events.published.of("a") is bound
    bound.add(2)
    metrics.events.published.add(1, "a")
    assert metrics.value("broadcast_messages_total", "a") == 3


def test_what_dashboards_for_other_servers_ask_for_is_declared_under_its_exact_name() -> None:
    declared = {family.name: (family.kind, family.labels) for family in Metrics().families}
    for name, kind in {
        "connected": "gauge",
        "new_connections_total": "counter",
        "new_disconnections_total": "counter",
        "socket_received_bytes": "counter",
        "socket_transmitted_bytes": "counter",
        "ws_messages_received_total": "counter",
        "ws_messages_sent_total": "counter",
        "http_received_bytes": "counter",
        "http_transmitted_bytes": "counter",
        "http_calls_received_total": "counter",
        "horizontal_adapter_resolve_time": "histogram",
        "horizontal_adapter_resolved_promises": "counter",
        "horizontal_adapter_uncomplete_promises": "counter",
        "horizontal_adapter_sent_requests": "counter",
        "horizontal_adapter_received_requests": "counter",
        "horizontal_adapter_received_responses": "counter",
    }.items():
        assert declared[name] == (kind, ("app_id",))
    timed = ("app_id", "channel_type", "recipient_count_bucket")
    assert declared["broadcast_latency_ms"] == ("histogram", timed)
    for name in "queue_jobs_processed_total", "queue_jobs_failed_total", "queue_job_duration_seconds":
        assert declared[name][1] == ("queue",)
    assert declared["queue_active_jobs"] == ("gauge", ("queue",))
    assert declared["process_virtual_memory_bytes"][0] == "gauge"


def test_declarations_are_distinct_and_well_formed() -> None:
    families = Metrics().families
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.help.endswith(".") and "\n" not in family.help
        assert bool(family.bounds) == (family.kind == "histogram")
        assert list(family.bounds) == sorted(family.bounds)


def test_every_family_is_used_outside_this_folder() -> None:
    """A family that nothing feeds would stand on the page, documented, and never have a sample."""
    used = "\n".join(path.read_text() for path in ENGINE.rglob("*.py") if path.parent.name != "metrics")
    kinds = (Counter, Gauge, Histogram)
    names = {
        (area, attribute)
        for area, families in areas(Metrics()).items()
        for attribute, family in vars(families).items()
        if isinstance(family, kinds) and not attribute.startswith("_")
    }
    assert len(names) > 40
    unused = {name for name in names if not re.search(rf"\.{name[1]}\b", used)}
    # What no worker ever does (M-1).
    assert unused == {("adapter", "responses")}


def test_an_untouched_page_names_every_metric_and_no_series_of_an_app() -> None:
    values = MemoryValues()
    metrics = Metrics(values)
    text = page(metrics, values)
    for family in metrics.families:
        assert f"# TYPE sockudo_{family.name} {family.kind}\n" in text
    assert "app_id=" not in text
    assert 'sockudo_leader_changes_total{port="6001"} 0\n' in text
    assert 'sockudo_config_reloads_total{result="refused",port="6001"} 0\n' in text
    assert len([line for line in text.splitlines() if "webhook" in line]) > 10
    assert list(text_string_to_metric_families(text)), "readable by the official client's parser"


def test_what_is_counted_of_served_applications_begins_at_0() -> None:
    values = MemoryValues()
    metrics = Metrics(values, ("presence_cache",))
    metrics.apps.serve((make_app(make_endpoint("e1", event_types=frozenset({"cache_miss"})), app_id="a"),))
    text = page(metrics, values)
    for series in (
        'webhooks_sent_total{app_id="a",endpoint="e1",port="6001"}',
        'webhooks_failed_total{app_id="a",endpoint="e1",port="6001"}',
        'webhook_events_total{app_id="a",endpoint="e1",event="cache_miss",port="6001"}',
        'webhook_latency_seconds_count{app_id="a",endpoint="e1",port="6001"}',
        'horizontal_adapter_received_responses{app_id="a",port="6001"}',
        'channel_subscriptions_total{app_id="a",channel_type="presence_cache",port="6001"}',
        'broadcast_messages_total{app_id="a",port="6001"}',
    ):
        assert f"sockudo_{series} 0\n" in text
    metrics.apps.serve((make_app(make_endpoint("e1"), make_endpoint("e2"), app_id="a"),))
    assert 'sockudo_webhooks_failed_total{app_id="a",endpoint="e2",port="6001"} 0\n' in page(metrics, values)


def test_the_applications_of_a_large_database_do_not_fill_the_page() -> None:
    values = MemoryValues()
    metrics = Metrics(values)
    metrics.apps.serve([plain_app(number) for number in range(BEGIN_APPS + 50)])
    text = page(metrics, values)
    assert text.count("sockudo_broadcast_messages_total{") == BEGIN_APPS
    assert metrics.value("apps") == BEGIN_APPS + 50


def test_label_values_cannot_make_it_grow_without_end() -> None:
    values = MemoryValues()
    metrics = Metrics(values)
    for number in range(MAX_SERIES + 100):
        metrics.connections.errors.add(1, "a", f"e{number}")
        metrics.channels.active.set(1, "a", f"k{number}")
    assert metrics.value("connection_errors_total", "other", "other") == 100
    assert metrics.value("active_channels", "other", "other") == 1
    metrics.connections.errors.add(1, "a", "e0")
    assert metrics.value("connection_errors_total", "a", "e0") == 2
    assert len(values.numbers) < 2 * MAX_SERIES + 100
