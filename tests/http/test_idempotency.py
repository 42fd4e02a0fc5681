"""Publishing under an idempotency key."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from engine.errors import StoreUnavailable
from engine.http.request import ApiResponse
from tests.http.serving import Serving

EVENTS = "/apps/3/events"


def event(name: str = "e", **more: Any) -> dict[str, Any]:
    return {"name": name, "data": "d", "channel": "room", "idempotency_key": "k"} | more


def names(serving: Serving) -> list[str]:
    return [name for _, name, *_ in serving.adapter.sent]


def test_a_publish_that_failed_may_be_tried_again() -> None:
    serving = Serving()
    serving.adapter.gone = True
    assert serving.signed("POST", EVENTS, event()).status == 503
    serving.adapter.gone = False
    assert serving.signed("POST", EVENTS, event(name="pusher:forged")).status == 400
    assert serving.signed("POST", EVENTS, event()).status == 200
    assert serving.signed("POST", EVENTS, event()).status == 200
    assert names(serving) == ["e"]


def test_a_repetition_while_the_first_is_under_way_is_told_to_wait() -> None:
    serving = Serving()
    publish = serving.adapter.publish
    may_go_on = asyncio.Event()

    async def slowly(messages: Any) -> None:
        await may_go_on.wait()
        await publish(messages)

    serving.adapter.publish = slowly  # type: ignore[method-assign]
    body = json.dumps(event()).encode()
    target = serving.target("POST", EVENTS, body).encode()

    async def scenario() -> tuple[ApiResponse, ApiResponse]:
        first = asyncio.create_task(serving.api.handle("POST", target, body))
        await asyncio.sleep(0)
        second = await serving.api.handle("POST", target, body)
        may_go_on.set()
        return await first, second

    first, second = asyncio.run(scenario())
    assert (first.status, second.status) == (200, 503)
    assert dict(second.headers)["Retry-After"] == "1"
    assert names(serving) == ["e"]


def test_the_header_wins_over_the_body() -> None:
    serving = Serving()
    body = json.dumps(event()).encode()
    for key in ("a", "b", "a"):
        target = serving.target("POST", EVENTS, body).encode()
        assert asyncio.run(serving.api.handle("POST", target, body, idempotency_key=key)).status == 200
    assert names(serving) == ["e", "e"]


def test_a_key_that_is_no_text_is_refused() -> None:
    assert Serving().signed("POST", EVENTS, event(idempotency_key=7)).status == 400


def test_only_who_may_publish_uses_up_a_key() -> None:
    serving = Serving()
    assert serving.call("POST", EVENTS, json.dumps(event()).encode()).status == 401
    assert serving.signed("POST", EVENTS, event()).status == 200
    assert names(serving) == ["e"]


def test_a_repetition_costs_nothing_of_the_limit_and_is_counted() -> None:
    serving = Serving()
    for _ in range(3):
        assert serving.signed("POST", EVENTS, event()).status == 200
    assert serving.metrics.value("idempotency_publish_total", "3") == 3
    assert serving.metrics.value("idempotency_duplicates_total", "3") == 2


def test_an_answer_that_cannot_be_kept_is_given_all_the_same(caplog: Any) -> None:
    serving = Serving()

    async def fail(*_: Any) -> None:
        raise StoreUnavailable("gone")

    serving.answers.keep = fail  # type: ignore[method-assign]
    assert serving.signed("POST", EVENTS, event()).status == 200
    assert names(serving) == ["e"]
    assert "not kept" in caplog.text
