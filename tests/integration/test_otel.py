"""Spans of OpenTelemetry in a running engine: from a back end's traceparent to the workers, and from the event of a
client to the request of a webhook. A collector in this process takes them as OTLP over HTTP.
"""

from __future__ import annotations

import http.client
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.client import connected
from tests.support.engine import APP, Engine, running
from tests.support.receiver import Received, WebhookReceiver
from tests.support.signing import signed_query
from tests.support.waiting import until, wait_until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """:ivar status: what it answers from now on."""

    def __init__(self) -> None:
        self.status = 200
        self.services: set[str] = set()
        self._spans: list[Span] = []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if collector.status == 200:
                    collector._take(ExportTraceServiceRequest.FromString(body))
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, name="collector", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def spans(self, trace_id: str) -> dict[str, list[Span]]:
        """Those of a trace, by name, in the order of their end."""
        found: dict[str, list[Span]] = {}
        for span in sorted(self._spans[:], key=lambda each: each.end_time_unix_nano):
            if span.trace_id.hex() == trace_id:
                found.setdefault(span.name, []).append(span)
        return found

    def _take(self, request: ExportTraceServiceRequest) -> None:
        for of_resource in request.resource_spans:
            named = {each.key: each.value.string_value for each in of_resource.resource.attributes}
            self.services.add(named["service.name"])
            for of_scope in of_resource.scope_spans:
                self._spans += of_scope.spans


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    started = Collector()
    yield started
    started.close()


@pytest.fixture(scope="module")
def hook() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as started:
        yield started


@pytest.fixture(scope="module")
def engine(collector: Collector, hook: WebhookReceiver) -> Iterator[Engine]:
    webhooks = [{"url": hook.url, "event_types": ["client_event"], "retry": {"initial_backoff_ms": 1}}]
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "20",
        "OTEL_SERVICE_NAME": "events",
        # On a full machine a collector may be slow, and what is sent again comes twice.
        "OTEL_EXPORTER_OTLP_TIMEOUT": "60",
    }
    config = {"app_manager": {"array": {"apps": [{**APP, "webhooks": webhooks}]}}}
    with running(config, 2, env=env) as started:
        yield started


def publish(engine: Engine, channel: str, headers: dict[str, str], route: str = "events") -> None:
    event = {"name": "paid", "channel": channel, "data": "{}"}
    body = json.dumps(event if route == "events" else {"batch": [event, {**event, "channel": "others"}]}).encode()
    path = f"/apps/1/{route}"
    query = signed_query(APP["key"], APP["secret"], "POST", path, body)
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=10)
    connection.request("POST", f"{path}?{urllib.parse.urlencode(query)}", body, headers)
    assert connection.getresponse().read() == b"{}"
    connection.close()


def text_of(span: Span, key: str) -> str:
    value = next(each.value for each in span.attributes if each.key == key)
    return value.string_value or str(value.int_value)


@pytest.mark.parametrize(
    ("number", "channel", "headers", "route"),
    [
        (1, "orders", {}, "events"),
        (2, "orders", {"X-Idempotency-Key": "once"}, "events"),
        (3, "cache-orders", {}, "events"),
        (4, "orders", {}, "batch_events"),
    ],
    ids=["in C", "by aiohttp", "by Python", "batch"],
)
async def test_a_publish_is_followed_from_its_caller_to_the_workers(
    engine: Engine, collector: Collector, number: int, channel: str, headers: dict[str, str], route: str
) -> None:
    trace_id = f"{TRACE[:-1]}{number}"
    async with connected(engine.ws_url) as client:
        await client.subscribe(channel)
        publish(engine, channel, {"traceparent": f"00-{trace_id}-{PARENT}-01", **headers}, route)
        await client.next("paid")
        await until(lambda: len(collector.spans(trace_id)) == 3)
    spans = collector.spans(trace_id)
    (published,), (bus,), (delivered,) = spans["publish"], spans["bus"], spans["deliver"]
    assert published.parent_span_id.hex() == PARENT
    assert bus.parent_span_id == published.span_id
    assert delivered.parent_span_id == bus.span_id
    assert published.kind == Span.SPAN_KIND_SERVER
    assert [text_of(published, f"engine.{key}") for key in ("app", "event", "channel")] == ["1", "paid", channel]
    assert text_of(published, "http.response.status_code") == "200"
    assert [text_of(delivered, f"engine.{key}") for key in ("channel", "subscriptions")] == [channel, "1"]
    assert published.start_time_unix_nano <= bus.start_time_unix_nano <= delivered.end_time_unix_nano
    assert collector.services == {"events"}


async def test_an_event_of_a_client_is_followed_to_each_attempt_of_its_webhook(
    engine: Engine, collector: Collector, hook: WebhookReceiver
) -> None:
    hook.answer(500, 200, path="/")
    async with connected(engine.ws_url) as sender, connected(engine.ws_url) as other:
        for client in (sender, other):
            await client.subscribe("private-chat")
        await sender.send("client-typing", {}, "private-chat")
        await other.next("client-typing")
        await until(lambda: len(hook.requests) == 2)
        trace_id = trace_of(hook.requests[0])
        await until(lambda: len(collector.spans(trace_id).get("webhook attempt", ())) == 2)
        await until(lambda: "deliver" in collector.spans(trace_id))
    spans = collector.spans(trace_id)
    (event,), (queued,) = spans["client event"], spans["webhook queued"]
    assert not event.parent_span_id
    assert [each.parent_span_id for each in spans["deliver"]] == [event.span_id] * len(spans["deliver"])
    assert queued.parent_span_id == event.span_id
    assert [each.parent_span_id for each in spans["webhook attempt"]] == [queued.span_id] * 2
    assert [span_of(request) for request in hook.requests] == [each.span_id.hex() for each in spans["webhook attempt"]]
    assert [each.status.message for each in spans["webhook attempt"]] == ["status 500", ""]


def trace_of(request: Received) -> str:
    return request.headers["traceparent"].split("-")[1]


def span_of(request: Received) -> str:
    return request.headers["traceparent"].split("-")[2]


def test_a_caller_who_does_not_want_a_span_gets_none(engine: Engine, collector: Collector) -> None:
    unwanted, wanted = f"{TRACE[:-1]}a", f"{TRACE[:-1]}b"
    publish(engine, "orders", {"traceparent": f"00-{unwanted}-{PARENT}-00"})
    publish(engine, "orders", {"traceparent": f"00-{wanted}-{PARENT}-01"})
    wait_until(lambda: "publish" in collector.spans(wanted))
    assert not collector.spans(unwanted)


def test_a_collector_that_takes_nothing_is_counted_and_harms_nobody(engine: Engine, collector: Collector) -> None:
    collector.status = 400
    try:
        publish(engine, "orders", {})
        wait_until(lambda: lost(engine) > 0)
        assert "WARNING" in engine.log() and "OpenTelemetry: " in engine.log()
    finally:
        collector.status = 200
    publish(engine, "orders", {"traceparent": f"00-{TRACE[:-1]}c-{PARENT}-01"})
    wait_until(lambda: "publish" in collector.spans(f"{TRACE[:-1]}c"))


def lost(engine: Engine) -> float:
    (line,) = (line for line in engine.metrics().splitlines() if line.startswith("sockudo_spans_lost_total{"))
    return float(line.split()[-1])
