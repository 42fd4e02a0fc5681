"""`_fast.subscribe_message` says what `protocol/messages.py` says, or nothing."""

from __future__ import annotations

import pytest

from engine._fast.subscribe_message import read_subscribe
from engine.protocol import messages


@pytest.mark.parametrize(
    "payload",
    [
        '{"event":"pusher:subscribe","data":{"channel":"a"}}',
        '{"event":"pusher:subscribe","data":{"auth":"","channel":"a"}}',
        ' { "data" : { "channel" : "private-é" , "auth" : "key:0f" } , "event" : "pusher:subscribe" } ',
    ],
)
def test_usual_messages_are_read_as_the_other_reader_reads_them(payload: str) -> None:
    request = messages.subscribe_request(messages.parse(payload.encode()))
    assert read_subscribe(payload.encode()) == (request.channel, request.auth)
    assert request.channel_data is None


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "{}",
        "[]",
        '{"event":"pusher:subscribe"}',
        '{"event":"pusher:subscribe","data":{}}',
        '{"event":"pusher:subscribe","data":{"channel":""}}',
        '{"event":"pusher:subscribe","data":{"channel":null}}',
        '{"event":"pusher:subscribe","data":{"channel":"a","auth":null}}',
        '{"event":"pusher:subscribe","data":{"channel":"a","channel_data":"{}"}}',
        '{"event":"pusher:subscribe","data":{"channel":"a","channel":"b"}}',
        '{"event":"pusher:subscribe","data":{"channel":"a"},"data":{"channel":"b"}}',
        '{"event":"pusher:subscribe","channel":"a","data":{"channel":"a"}}',
        '{"event":"pusher:subscribe","data":"{\\"channel\\":\\"a\\"}"}',
        '{"event":"pusher:subscribe","data":{"channel":"\\u0061"}}',
        '{"event":"pusher:subscribe","data":{"data":{"channel":"a"}}}',
        '{"event":"pusher:unsubscribe","data":{"channel":"a"}}',
        '{"event":"pusher:subscribe","data":{"channel":"a"}} x',
        '{"event":"pusher:subscribe","data":{"channel":"a"}',
        '{"event":"pusher:subscribe","data":{"channel":"a"},}',
        '{"event":"pusher:subscribe","data":{"channel":"a\n"}}',
    ],
)
def test_everything_else_is_left_to_the_other_reader(payload: str) -> None:
    assert read_subscribe(payload.encode()) is None
