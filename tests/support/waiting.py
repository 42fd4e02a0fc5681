"""Waiting for a condition instead of for time, and free ports."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import inspect
import random
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
#: Pause between two looks: short at first, then in proportion to the time already waited, so that what takes long is
#: not asked for all the time by those who keep it from happening.
POLL_S, POLL_MAX_S, POLL_SHARE = 0.002, 0.05, 0.1
#: How long to wait for what must come. Only a test that fails waits so long, so a busy machine may take its time.
PATIENCE_S = 30.0
#: Below the range from which the kernel takes ports of outgoing connections, so that none of those takes ours.
PORTS = range(10_000, 30_000)
#: Hypothesis reseeds the shared generator, which would give every process the same ports.
_random = random.SystemRandom()
#: Between its choice and its use a port is kept from other processes of tests by a name of the kernel's, which goes
#: with its socket; by the time that so many others were chosen it is in use.
_CHOSEN = 64
_chosen: deque[socket.socket] = deque()
atexit.register(lambda: [name.close() for name in _chosen])


async def until(
    condition: Callable[[], T | Awaitable[T]], timeout_s: float = PATIENCE_S, what: str | Callable[[], object] = ""
) -> T:
    """Ask `condition`, which may be a coroutine function, until its answer is true, and return that.

    :param what: what is waited for, or a function that describes the state at the end.
    :raises AssertionError: after `timeout_s`. A shorter one than usual is a promise that is tested.
    """
    began = time.monotonic()
    end = began + timeout_s
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(_late(timeout_s, what))
        await asyncio.sleep(_pause_s(began))


def wait_until(condition: Callable[[], T], timeout_s: float = PATIENCE_S, what: str | Callable[[], object] = "") -> T:
    """The same where no event loop runs."""
    began = time.monotonic()
    end = began + timeout_s
    while not (value := condition()):
        if time.monotonic() >= end:
            raise AssertionError(_late(timeout_s, what))
        time.sleep(_pause_s(began))
    return value


def free_port() -> int:
    """A TCP port that nothing uses now, not even with SO_REUSEPORT, and that no other test is about to use."""
    while True:
        port = _random.choice(PORTS)
        with contextlib.ExitStack() as stack:
            name = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            try:
                name.bind(f"\0engine-tests-{port}")
                with socket.socket() as probe:
                    probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            stack.pop_all()
            _chosen.append(name)
            if len(_chosen) > _CHOSEN:
                _chosen.popleft().close()
            return port


def _pause_s(began: float) -> float:
    return min(max(POLL_S, (time.monotonic() - began) * POLL_SHARE), POLL_MAX_S)


def _late(timeout_s: float, what: str | Callable[[], object]) -> str:
    return f"not within {timeout_s:g} s: {what() if callable(what) else what}"
