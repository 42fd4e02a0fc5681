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


BATCH = "/apps/3/batch_events"


def test_each_event_of_a_batch_has_a_key_of_its_own() -> None:
    serving = Serving()
    first = {
        "batch": [event("a", idempotency_key="1"), event("b", idempotency_key="2"), event("c", idempotency_key="")]
    }
    second = {
        "batch": [event("b", idempotency_key="2"), event("d", idempotency_key="3"), event("c", idempotency_key="")]
    }
    for body in (first, first, second):
        assert serving.signed("POST", BATCH, body).json == {}
    assert names(serving) == ["a", "b", "c", "c", "d", "c"], "what has no key goes out each time"


def test_a_key_may_stand_among_the_extras() -> None:
    serving = Serving()
    keyed = event("a") | {"idempotency_key": None, "extras": {"idempotency_key": "x", "headers": {"h": 1}}}
    for _ in range(2):
        assert serving.signed("POST", EVENTS, keyed).status == 200
        assert (
            serving.signed("POST", BATCH, {"batch": [keyed | {"name": "b", "extras": {"idempotency_key": "y"}}]}).json
            == {}
        )
    assert names(serving) == ["a", "b"]
    assert serving.signed("POST", EVENTS, event("c", idempotency_key=None, extras=7)).status == 200


def test_one_key_twice_in_a_batch_is_one_event() -> None:
    serving = Serving()
    batch = {"batch": [event("a", info="subscription_count"), event("b"), event("c", idempotency_key="2")]}
    assert serving.signed("POST", BATCH, batch).json == {
        "batch": [{"subscription_count": 0}, {"subscription_count": 0}, {}]
    }
    assert names(serving) == ["a", "c"]


def test_a_repeated_batch_is_answered_as_the_first() -> None:
    serving = Serving()
    batch = {"batch": [event("a", idempotency_key=f"{n}", info="subscription_count") for n in range(2)]}
    first = serving.signed("POST", BATCH, batch)
    assert first.json == {"batch": [{"subscription_count": 0}, {"subscription_count": 0}]}
    assert serving.signed("POST", BATCH, batch).json == first.json


def test_a_batch_that_failed_used_up_none_of_its_keys() -> None:
    serving = Serving()
    batch = {"batch": [event("a", idempotency_key="1"), event("b", idempotency_key="2")]}
    serving.adapter.gone = True
    assert serving.signed("POST", BATCH, batch).status == 503
    serving.adapter.gone = False
    refused = {"batch": [event("a", idempotency_key="1"), event("pusher:b", idempotency_key="2")]}
    assert serving.signed("POST", BATCH, refused).status == 400
    assert (
        serving.signed("POST", BATCH, {"batch": [event("b", idempotency_key="2"), event(idempotency_key=7)]}).status
        == 400
    )
    assert serving.signed("POST", BATCH, batch).status == 200
    assert names(serving) == ["a", "b"]


def test_an_event_of_a_batch_may_name_several_channels() -> None:
    serving = Serving()
    several = {"name": "a", "data": "d", "channels": ["x", "y"], "info": "subscription_count"}
    answer = serving.signed("POST", BATCH, {"batch": [several, event("b", idempotency_key="")]})
    each = {"subscription_count": 0}
    assert answer.json == {"batch": [{"channels": {"x": each, "y": each}}, {}]}
    assert [(channel, name) for channel, name, *_ in serving.adapter.sent] == [("x", "a"), ("y", "a"), ("room", "b")]
