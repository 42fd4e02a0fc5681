"""Where spans belong, as it is written into headers, queue entries and marks."""

from __future__ import annotations

import pytest
from opentelemetry.trace import SpanContext, TraceFlags

from engine._fast.sampler import Sampler
from engine.spans import context

HERE = SpanContext(0x4BF92F3577B34DA6A3CE929D0E0E4736, 0xF067AA0BA902B7, is_remote=True, trace_flags=TraceFlags(1))
TEXT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_traceparent_is_read_as_it_was_written() -> None:
    assert context.write(HERE) == TEXT
    assert context.read(TEXT) == HERE


@pytest.mark.parametrize(
    "text",
    ["", TEXT[:-1], TEXT + "-more", f"{TEXT}\n", "ff" + TEXT[2:], TEXT.upper(), "00-" + "0" * 32 + TEXT[35:], "é" * 55],
)
def test_anything_else_is_none_and_the_sampler_agrees(text: str) -> None:
    assert context.read(text) is None
    assert not Sampler(0, True).wants(text.encode())


def test_later_versions_may_say_more() -> None:
    assert context.read("cc" + TEXT[2:] + "-more") == HERE


def test_a_mark_is_read_as_it_was_packed() -> None:
    mark = context.pack_mark(HERE, 1_700_000_000_000_000)
    assert mark[0] == context.MARK
    assert context.read_mark(mark) == (HERE, 1_700_000_000_000_000)


@pytest.mark.parametrize("mark", [b"", b"\x07", bytes([7]) + bytes(33), bytes([1]) + b"x" * 33, b"\x07" + b"x" * 40])
def test_what_is_no_mark_is_none(mark: bytes) -> None:
    assert context.read_mark(mark) is None
