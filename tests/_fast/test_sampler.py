"""Of which publishes spans are made, by what their callers say and by chance."""

from __future__ import annotations

import pytest

from engine._fast.sampler import Sampler

TRACE, PARENT = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"


def traceparent(flags: bytes, version: bytes = b"00") -> bytes:
    return b"-".join((version, TRACE, PARENT, flags))


@pytest.mark.parametrize("ratio", [0, 1])
def test_a_caller_decides_whatever_the_ratio(ratio: float) -> None:
    sampler = Sampler(ratio, True)
    assert sampler.wants(traceparent(b"01")) and sampler.wants(traceparent(b"ff"))
    assert sampler.wants(traceparent(b"01", b"cc")) and sampler.wants(traceparent(b"01", b"cc") + b"-more")
    assert not sampler.wants(traceparent(b"00")) and not sampler.wants(traceparent(b"02"))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"01",
        traceparent(b"01")[:-1],
        traceparent(b"01") + b"-more",
        traceparent(b"01", b"cc") + b"more",
        traceparent(b"01", b"ff"),
        traceparent(b"01").upper(),
        traceparent(b"01").replace(b"-", b"_"),
        traceparent(b"01").replace(TRACE, b"0" * 32),
        traceparent(b"01").replace(PARENT, b"0" * 16),
        b"\xff" * 55,
    ],
)
def test_what_is_no_traceparent_decides_nothing(text: bytes) -> None:
    assert not Sampler(0, True).wants(text)
    assert Sampler(1, True).wants(text)


def test_nobody_is_heeded_where_callers_are_not() -> None:
    assert not Sampler(0, False).wants(traceparent(b"01"))
    assert Sampler(1, False).wants(traceparent(b"00"))


def test_chance_takes_as_many_as_the_ratio_says() -> None:
    sampler = Sampler(0.25, True)
    taken = sum(sampler.wants(b"") for _ in range(20_000))
    assert 4_000 < taken < 6_000  # 16 standard deviations


@pytest.mark.parametrize(
    "lines, found",
    [
        (b"Host: x\r\ntraceparent: abc\r\n", b"abc"),
        (b"Host: x\r\nTraceParent:abc \t\r\nAccept: y\r\n", b"abc"),
        (b"traceparent: abc\r\ntraceparent: abc\r\n", b""),
        (b"x-traceparent: abc\r\ntracestate: d\r\n", b""),
        (b"traceparent: " + b"a" * 300 + b"\r\n", b""),
        (b"traceparent:\r\n", b""),
        (b"", b""),
    ],
)
def test_the_caller_is_found_in_a_head(lines: bytes, found: bytes) -> None:
    assert Sampler(1, True).caller_of(b"POST /apps/1/events HTTP/1.1\r\n" + lines + b"\r\n") == found
