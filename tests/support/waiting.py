"""Waiting for a condition instead of for time, and free ports."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.01
#: Below the range from which the kernel takes ports of outgoing connections, so that none of those takes ours.
PORTS = range(10_000, 30_000)
#: Hypothesis reseeds the shared generator, which would give every process the same ports.
_random = random.SystemRandom()


def wait_until(condition: Callable[[], T], timeout_s: float = 10.0, what: str | Callable[[], object] = "") -> T:
    """Call `condition` until it returns something true, and return that; AssertionError after `timeout_s`.

    :param what: what is waited for, or a function that describes the state at the end.
    """
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() >= end:
            raise AssertionError(_late(timeout_s, what))
        time.sleep(POLL_S)
    return value


async def wait_until_async(
    condition: Callable[[], T], timeout_s: float = 10.0, what: str | Callable[[], object] = ""
) -> T:
    """The same inside an event loop."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() >= end:
            raise AssertionError(_late(timeout_s, what))
        await asyncio.sleep(POLL_S)
    return value


def free_port() -> int:
    """A TCP port that nothing uses now, not even with SO_REUSEPORT."""
    while True:
        port = _random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port


def _late(timeout_s: float, what: str | Callable[[], object]) -> str:
    return f"not within {timeout_s:g} s: {what() if callable(what) else what}"
