"""Building a frame, and reading what a client sends."""

from __future__ import annotations

from typing import Any

import pytest

from engine._fast.frame import spliced_frame, text_frame
from engine.protocol import messages
from engine.protocol.json_values import dumps

DATA = '{"message":"' + "x" * 80 + '"}'
SUBSCRIBE = b'{"event":"pusher:subscribe","data":{"channel":"private-bench-0","auth":"app-key:' + b"0" * 64 + b'"}}'
CLIENT_EVENT = b'{"event":"client-tick","channel":"private-bench-0","data":{"x":12.5,"y":7,"t":"' + b"x" * 60 + b'"}}'


def bench_frame_of_an_event(benchmark: Any) -> None:
    """From name, channel and data to finished bytes."""

    def build() -> bytes:
        prefix, suffix = messages.channel_event_parts("tick", DATA)
        return spliced_frame(prefix, dumps("bench-0"), suffix)

    assert benchmark(build) == text_frame(messages.channel_event("tick", "bench-0", DATA))


def bench_frame_of_one_more_channel(benchmark: Any) -> None:
    """The same event for another channel."""
    prefix, suffix = messages.channel_event_parts("tick", DATA)
    benchmark(spliced_frame, prefix, b'"bench-0"', suffix)


@pytest.mark.parametrize("message", [SUBSCRIBE, CLIENT_EVENT], ids=["subscribe", "client-event"])
def bench_parse(benchmark: Any, message: bytes) -> None:
    assert benchmark(messages.parse, message).event
