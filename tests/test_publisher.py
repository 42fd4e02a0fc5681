"""What is published reaches the adapter as finished frames, whole or not at all."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from engine._fast.frame import payload_of
from engine._fast.signature import Signer
from engine.app import App
from engine.errors import ApiError, StoreUnavailable
from engine.interfaces import Message
from engine.metrics.metrics import Metrics
from engine.publisher import Publication, Publisher

APP = App("1", "key", "secret", Signer("secret"), cache_ttl_s=60)
Sent = tuple[str, str, str, dict[str, Any]]


class Recorder:
    """An adapter and a cache that remember, in one list, what they were asked."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.cache_fails = False

    async def publish(self, messages: Sequence[Message]) -> None:
        self.log += [
            ("publish", channel, excluded, json.loads(payload_of(frame))) for _, channel, frame, excluded, _ in messages
        ]

    def send(self, message: Message) -> None:
        self.log.append(("send", message.channel, message.except_socket_id, json.loads(payload_of(message.frame))))

    async def put(self, app_id: str, channel: str, event: str, data: str, ttl_s: int) -> None:
        if self.cache_fails:
            raise StoreUnavailable("gone")
        self.log.append(("put", app_id, channel, event, data, ttl_s))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def publisher(recorder: Recorder, metrics: Metrics) -> Publisher:
    return Publisher(recorder, recorder, metrics)  # type: ignore[arg-type]


def publish(publisher: Publisher, *publications: Publication, app: App = APP) -> None:
    asyncio.run(publisher.publish(app, publications))


def sent(channel: str, event: str = "e", data: str = "d", except_socket_id: str = "") -> tuple[Any, ...]:
    return ("publish", channel, except_socket_id, {"event": event, "channel": channel, "data": data})


def test_one_frame_for_each_channel(publisher: Publisher, recorder: Recorder, metrics: Metrics) -> None:
    data = '{"text":"Zoë \\" ☃"}'
    publish(publisher, Publication("App\\Event ☃", data, ("a", "private-b", "#server-to-user-zoë"), "1.2"))
    assert recorder.log == [
        sent(channel, "App\\Event ☃", data, "1.2") for channel in ("a", "private-b", "#server-to-user-zoë")
    ]
    assert metrics.value("broadcast_messages_total", "1") == 3


def test_a_channel_named_twice_gets_the_event_once(publisher: Publisher, recorder: Recorder) -> None:
    publish(publisher, Publication("e", "d", ("b", "a", "b")))
    assert recorder.log == [sent("b"), sent("a")]


def test_a_batch_keeps_its_order_whoever_is_excluded(publisher: Publisher, recorder: Recorder) -> None:
    publish(
        publisher,
        Publication("e", "1", ("a",)),
        Publication("e", "2", ("a",), "1.1"),
        Publication("e", "3", ("a",), "1.1"),
        Publication("e", "4", ("a",)),
    )
    assert [(entry[2], entry[3]["data"]) for entry in recorder.log] == [
        ("", "1"),
        ("1.1", "2"),
        ("1.1", "3"),
        ("", "4"),
    ]


def test_cache_channels_remember_the_last_event_before_it_is_sent(publisher: Publisher, recorder: Recorder) -> None:
    publish(
        publisher,
        Publication("e", "1", ("cache-a", "room", "my-cache-b")),
        Publication("f", "2", ("cache-a", "private-encrypted-cache-c"), "1.2"),
    )
    assert recorder.log[:2] == [
        ("put", "1", "cache-a", "f", "2", 60),
        ("put", "1", "private-encrypted-cache-c", "f", "2", 60),
    ]
    assert all(entry[0] == "publish" for entry in recorder.log[2:])
    assert len(recorder.log) == 2 + 5


def test_a_lost_cache_stops_no_event_and_is_said_once(
    publisher: Publisher, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.cache_fails = True
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            publish(publisher, Publication("e", "d", ("cache-a",)))
    assert recorder.log == [sent("cache-a")] * 3
    assert len(caplog.records) == 1


def test_client_events_are_sent_at_once_and_never_remembered(
    publisher: Publisher, recorder: Recorder, metrics: Metrics
) -> None:
    publisher.client_event(APP, "presence-cache-a", "client-e", b'{"x":[1]}', "u1", "1.2")
    publisher.client_event(APP, "private-a", "client-e", b"null", None, "1.2")
    with_user = {"event": "client-e", "channel": "presence-cache-a", "data": {"x": [1]}, "user_id": "u1"}
    without = {"event": "client-e", "channel": "private-a", "data": None}
    assert recorder.log == [("send", "presence-cache-a", "1.2", with_user), ("send", "private-a", "1.2", without)]
    assert metrics.value("client_events_total", "1") == 2


NAMES_101 = tuple(f"room-{n}" for n in range(101))


@pytest.mark.parametrize(
    ("publication", "status", "token"),
    [
        (Publication("", "d", ("a",)), 400, "invalid_input"),
        (Publication("x" * 201, "d", ("a",)), 400, "limit_exceeded"),
        (Publication("pusher:ping", "d", ("a",)), 400, "invalid_input"),
        (Publication("pusher_internal:member_added", "d", ("presence-a",)), 400, "invalid_input"),
        (Publication("e", "d", ()), 400, "missing_channel_info"),
        (Publication("e", "d", NAMES_101), 400, "limit_exceeded"),
        (Publication("e", "d", ("a", "")), 400, "invalid_input"),
        (Publication("e", "d", ("a", "b c")), 400, "invalid_input"),
        (Publication("e", "d", ("#a",)), 400, "invalid_input"),
        (Publication("e", "d", ("#connections",)), 400, "invalid_input"),
        (Publication("e", "d", ("#server-to-user-",)), 400, "invalid_input"),
        (Publication("e", "d", ("x" * 201,)), 400, "invalid_input"),
        (Publication("e", "d", ("a",), "123"), 400, "invalid_input"),
        (Publication("e", "d", ("a",), "1.2 "), 400, "invalid_input"),
        (Publication("e", "x" * 102401, ("a",)), 413, "payload_too_large"),
        (Publication("e", "☃" * 34134, ("a",)), 413, "payload_too_large"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_breaks_a_limit_is_refused_and_takes_its_batch_along(
    publisher: Publisher, recorder: Recorder, publication: Publication, status: int, token: str
) -> None:
    with pytest.raises(ApiError) as caught:
        publish(publisher, Publication("e", "d", ("a", "cache-a")), publication)
    assert (caught.value.status, caught.value.token) == (status, token)
    assert recorder.log == []


@pytest.mark.parametrize(
    "publication",
    [
        Publication("x" * 200, "", ("a",)),
        Publication("☃" * 200, "d", ("x" * 200,)),
        Publication("e", "x" * 102400, NAMES_101[:100]),
        Publication("e", "☃" * 34133, ("a",)),
        Publication("client-e", "d", ("room:1",), "0.0"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_limits_are_inclusive(publisher: Publisher, recorder: Recorder, publication: Publication) -> None:
    publish(publisher, publication)
    assert len(recorder.log) == len(publication.channels)


def test_limits_are_the_apps_own(publisher: Publisher) -> None:
    small = App(
        "2",
        "key",
        "secret",
        Signer("secret"),
        max_event_name_length=3,
        max_event_channels=1,
        max_channel_name_length=4,
        max_event_bytes=5,
    )
    publish(publisher, Publication("eee", "ddddd", ("aaaa",)), app=small)
    for publication in (
        Publication("eeee", "d", ("a",)),
        Publication("e", "dddddd", ("a",)),
        Publication("e", "d", ("aaaaa",)),
        Publication("e", "d", ("a", "b")),
    ):
        with pytest.raises(ApiError):
            publish(publisher, publication, app=small)


def test_other_workers_being_out_of_reach_is_told(publisher: Publisher, recorder: Recorder, metrics: Metrics) -> None:
    async def fail(*_: object) -> None:
        raise StoreUnavailable("gone")

    recorder.publish = fail  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        publish(publisher, Publication("e", "d", ("a",)))
    assert metrics.value("broadcast_messages_total", "1") == 0
