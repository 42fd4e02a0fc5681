"""What each method of Metrics counts, and under which name and labels the page shows it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.metrics.families import MAX_SERIES
from engine.metrics.metrics import Metrics
from engine.metrics.page import render
from engine.metrics.values import MemoryValues


class Kind(Enum):
    PRIVATE_CACHE = "private-cache-"


def page(metrics: Metrics, values: MemoryValues) -> str:
    return render(metrics.families, values.numbers.items(), "sockudo_", "6001").decode()


CALLS: list[tuple[Callable[[Metrics], None], list[str]]] = [
    (
        lambda m: m.add_traffic(
            "a",
            connections=3,
            opened=5,
            closed=2,
            received_bytes=70,
            sent_bytes=80,
            received_messages=7,
            sent_messages=8,
        ),
        [
            'connected{app_id="a",port="6001"} 3',
            'new_connections_total{app_id="a",port="6001"} 5',
            'new_disconnections_total{app_id="a",port="6001"} 2',
            'socket_received_bytes{app_id="a",port="6001"} 70',
            'socket_transmitted_bytes{app_id="a",port="6001"} 80',
            'ws_messages_received_total{app_id="a",port="6001"} 7',
            'ws_messages_sent_total{app_id="a",port="6001"} 8',
        ],
    ),
    (
        lambda m: m.http_call("a", received_bytes=10, sent_bytes=2),
        [
            'http_received_bytes{app_id="a",port="6001"} 10',
            'http_transmitted_bytes{app_id="a",port="6001"} 2',
            'http_calls_received_total{app_id="a",port="6001"} 1',
        ],
    ),
    (
        lambda m: m.http_call("", received_bytes=0, sent_bytes=0, status=404),
        [
            'http_calls_received_total{app_id="",port="6001"} 1',
            'http_errors_total{app_id="",status="404",port="6001"} 1',
        ],
    ),
    (
        lambda m: m.connection_error("a", "4001"),
        ['connection_errors_total{app_id="a",error_type="4001",port="6001"} 1'],
    ),
    (
        lambda m: m.rate_limit_checked("a", "redis", "backend", refused=True),
        [
            'rate_limit_checks_total{app_id="a",limiter_type="redis",request_context="backend",port="6001"} 1',
            'rate_limit_triggered_total{app_id="a",limiter_type="redis",request_context="backend",port="6001"} 1',
        ],
    ),
    (
        lambda m: m.rate_limit_checked("a", "memory", "read", refused=False),
        ['rate_limit_checks_total{app_id="a",limiter_type="memory",request_context="read",port="6001"} 1'],
    ),
    (
        lambda m: m.subscribed("a", Kind.PRIVATE_CACHE),
        ['channel_subscriptions_total{app_id="a",channel_type="private_cache",port="6001"} 1'],
    ),
    (
        lambda m: m.unsubscribed("a", Kind.PRIVATE_CACHE),
        ['channel_unsubscriptions_total{app_id="a",channel_type="private_cache",port="6001"} 1'],
    ),
    (
        lambda m: m.set_active_channels("a", Kind.PRIVATE_CACHE, 4),
        ['active_channels{app_id="a",channel_type="private_cache",port="6001"} 4'],
    ),
    (lambda m: m.broadcast("a", 3), ['broadcast_messages_total{app_id="a",port="6001"} 3']),
    (lambda m: m.client_event("a"), ['client_events_total{app_id="a",port="6001"} 1']),
    (lambda m: m.cache_hit("a"), ['cache_hits_total{app_id="a",port="6001"} 1']),
    (lambda m: m.cache_miss("a"), ['cache_misses_total{app_id="a",port="6001"} 1']),
    (lambda m: m.add_slow_consumers(2), ['slow_consumers_total{port="6001"} 2']),
    (lambda m: m.connection_fault(), ['connection_faults_total{port="6001"} 1']),
    (lambda m: m.add_missed(3), ['missed_messages_total{port="6001"} 3']),
    (lambda m: m.set_redis_connected(True), ['redis_connected_workers{port="6001"} 1']),
    (lambda m: m.became_leader(), ['leader_changes_total{port="6001"} 1']),
    (lambda m: m.add_drift(6), ['reconciler_drift_total{port="6001"} 6']),
    (lambda m: m.worker_purged(), ['purged_workers_total{port="6001"} 1']),
    (lambda m: m.worker_restarted(), ['worker_restarts_total{port="6001"} 1']),
    (lambda m: m.config_reloaded(refused=True), ['config_reloads_total{result="refused",port="6001"} 1']),
    (lambda m: m.config_reloaded(refused=False), ['config_reloads_total{result="followed",port="6001"} 1']),
    (lambda m: m.adapter_sent("a", 2), ['horizontal_adapter_sent_requests{app_id="a",port="6001"} 2']),
    (lambda m: m.adapter_received("a"), ['horizontal_adapter_received_requests{app_id="a",port="6001"} 1']),
    (lambda m: m.adapter_failed("a"), ['horizontal_adapter_uncomplete_promises{app_id="a",port="6001"} 1']),
    (
        lambda m: m.adapter_resolved("a", 7.0),
        [
            'horizontal_adapter_resolved_promises{app_id="a",port="6001"} 1',
            'horizontal_adapter_resolve_time_bucket{app_id="a",port="6001",le="5"} 0',
            'horizontal_adapter_resolve_time_bucket{app_id="a",port="6001",le="10"} 1',
            'horizontal_adapter_resolve_time_bucket{app_id="a",port="6001",le="+Inf"} 1',
            'horizontal_adapter_resolve_time_sum{app_id="a",port="6001"} 7',
            'horizontal_adapter_resolve_time_count{app_id="a",port="6001"} 1',
        ],
    ),
    (
        lambda m: m.webhook_sent("a", "e", 0.25, 40.0),
        [
            'webhooks_sent_total{app_id="a",endpoint="e",port="6001"} 1',
            'webhook_duration_seconds_bucket{app_id="a",endpoint="e",port="6001",le="0.1"} 0',
            'webhook_duration_seconds_bucket{app_id="a",endpoint="e",port="6001",le="0.25"} 1',
            'webhook_duration_seconds_sum{app_id="a",endpoint="e",port="6001"} 0.25',
            'webhook_latency_seconds_bucket{app_id="a",endpoint="e",port="6001",le="30"} 0',
            'webhook_latency_seconds_bucket{app_id="a",endpoint="e",port="6001",le="60"} 1',
            'webhook_latency_seconds_sum{app_id="a",endpoint="e",port="6001"} 40',
        ],
    ),
    (
        lambda m: m.webhook_failed("a", "e", 30.0),
        [
            'webhooks_failed_total{app_id="a",endpoint="e",port="6001"} 1',
            'webhook_duration_seconds_bucket{app_id="a",endpoint="e",port="6001",le="10"} 0',
            'webhook_duration_seconds_bucket{app_id="a",endpoint="e",port="6001",le="+Inf"} 1',
        ],
    ),
    (lambda m: m.webhook_retried("a", "e"), ['webhook_retries_total{app_id="a",endpoint="e",port="6001"} 1']),
    (lambda m: m.webhook_dead("a", "e"), ['webhook_dead_total{app_id="a",endpoint="e",port="6001"} 1']),
    (
        lambda m: m.webhook_event("a", "e", "cache_miss", 2),
        ['webhook_events_total{app_id="a",endpoint="e",event="cache_miss",port="6001"} 2'],
    ),
    (
        lambda m: m.webhook_events_dropped("a", "e", 9),
        ['webhook_events_dropped_total{app_id="a",endpoint="e",port="6001"} 9'],
    ),
    (
        lambda m: m.set_webhook_queue({"waiting": 4, "failed": 1}, 2.5),
        [
            'webhook_queue_depth{state="waiting",port="6001"} 4',
            'webhook_queue_depth{state="failed",port="6001"} 1',
            'webhook_pending_age_seconds{port="6001"} 2.5',
        ],
    ),
]


@pytest.mark.parametrize(("call", "expected"), CALLS, ids=[lines[0].partition("{")[0] for _, lines in CALLS])
def test_a_call_changes_exactly_its_samples(call: Callable[[Metrics], None], expected: list[str]) -> None:
    values = MemoryValues()
    metrics = Metrics(values)
    before = page(metrics, values).splitlines()
    call(metrics)
    changed = [line for line in page(metrics, values).splitlines() if line not in before]
    assert set(changed) >= {f"sockudo_{line}" for line in expected}
    histogram = [line for line in changed if "_bucket{" in line or "_sum{" in line or "_count{" in line]
    assert len(set(changed) - set(histogram)) == len([line for line in expected if f"sockudo_{line}" not in histogram])


def test_counters_add_up_and_gauges_replace() -> None:
    metrics = Metrics()
    for connections in (5, 2):
        metrics.add_traffic("a", connections=connections, sent_bytes=10)
        metrics.add_traffic("b", connections=1)
    assert metrics.value("connected", "a") == 2
    assert metrics.value("connected", "b") == 1
    assert metrics.value("socket_transmitted_bytes", "a") == 20
    assert metrics.value("socket_transmitted_bytes", "b") == 0


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


def test_declarations_are_distinct_and_well_formed() -> None:
    families = Metrics().families
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.help.endswith(".") and "\n" not in family.help
        assert bool(family.bounds) == (family.kind == "histogram")
        assert list(family.bounds) == sorted(family.bounds)


def test_an_untouched_page_names_every_metric_and_no_series_of_an_app() -> None:
    values = MemoryValues()
    metrics = Metrics(values)
    text = page(metrics, values)
    for family in metrics.families:
        assert f"# TYPE sockudo_{family.name} {family.kind}\n" in text
    assert "app_id=" not in text
    assert 'sockudo_leader_changes_total{port="6001"} 0\n' in text
    assert len([line for line in text.splitlines() if "webhook" in line]) > 10
    assert list(text_string_to_metric_families(text)), "readable by the official client's parser"


def test_label_values_cannot_make_it_grow_without_end() -> None:
    values = MemoryValues()
    metrics = Metrics(values)
    for number in range(MAX_SERIES + 100):
        metrics.connection_error("a", f"e{number}")
    assert metrics.value("connection_errors_total", "other", "other") == 100
    metrics.connection_error("a", "e0")
    assert metrics.value("connection_errors_total", "a", "e0") == 2
    assert len(values.numbers) < MAX_SERIES + 50
