"""The pages that nobody signs (D-12)."""

from __future__ import annotations

import json

import pytest

from engine.config.server import AcceptTrafficConfig, HttpApiConfig
from engine.http.health import NODE, Health
from tests.http.serving import Serving

READY, DRAINING, ILL = (True, ""), (False, "draining"), (False, "Redis cannot be reached")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "state", "status", "body", "word"),
    [
        ("/", READY, 200, b"OK", None),
        ("/", ILL, 200, b"OK", None),
        ("/live", READY, 200, b"OK", None),
        ("/live", DRAINING, 200, b"OK", None),
        ("/ready", READY, 200, b"OK", None),
        ("/ready", ILL, 503, b"Redis cannot be reached", None),
        ("/ready", DRAINING, 503, b"draining", None),
        ("/up", READY, 200, b"OK", "OK"),
        ("/up", ILL, 503, b"ERROR", "ERROR"),
        ("/up", DRAINING, 503, b"DRAINING", "DRAINING"),
        ("/up/3", READY, 200, b"OK", "OK"),
        ("/up/3", ILL, 503, b"ERROR", "ERROR"),
        ("/up/3", DRAINING, 503, b"DRAINING", "DRAINING"),
        ("/up/unknown", READY, 404, b"NOT_FOUND", "NOT_FOUND"),
        ("/up/unknown", DRAINING, 404, b"NOT_FOUND", "NOT_FOUND"),
    ],
)
def test_pages(method: str, path: str, state: tuple[bool, str], status: int, body: bytes, word: str | None) -> None:
    serving = Serving()
    serving.health.state = state
    answer = serving.call(method, path)
    assert (answer.status, answer.body, answer.content_type) == (status, body, "text/plain")
    assert dict(answer.headers).get("X-Health-Check") == word


def test_a_reason_that_the_node_has_too_is_given_once() -> None:
    health = Health()
    health.clear("worker")
    health.set("store", "shared state cannot be reached")
    health.set(NODE, "worker 1 does not answer; shared state cannot be reached")
    assert health.ready() == (False, "shared state cannot be reached; worker 1 does not answer")
    assert health.own() == "shared state cannot be reached"


def test_usage() -> None:
    answer = Serving().call("GET", "/usage")
    assert answer.status == 200
    found = json.loads(answer.body)["memory"]
    assert found.keys() == {"free", "used", "total", "percent"}
    assert found["free"] + found["used"] == found["total"] > 0
    assert 0 < found["percent"] <= 100


def test_usage_switched_off() -> None:
    answer = Serving(config=HttpApiConfig(usage_enabled=False)).call("GET", "/usage")
    assert (answer.status, json.loads(answer.body)["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("threshold", "state", "status"), [(1, READY, 200), (1e-9, READY, 503), (1, ILL, 503), (1, DRAINING, 503)]
)
def test_accept_traffic(threshold: float, state: tuple[bool, str], status: int) -> None:
    traffic = AcceptTrafficConfig.model_construct(memory_threshold=threshold)
    serving = Serving(config=HttpApiConfig.model_construct(**{"accept_traffic": traffic, "usage_enabled": True}))
    serving.health.state = state
    answer = serving.call("GET", "/accept-traffic")
    assert answer.status == status
    assert json.loads(answer.body)["memory"].keys() == {"usedSize", "totalSize", "percentUsage"}
