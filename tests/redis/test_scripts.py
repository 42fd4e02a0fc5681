"""What the library raises, of whatever family, becomes the one error that callers wait out."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from engine.errors import IncarnationGone, StoreUnavailable
from engine.redis.scripts import bounded, load, run

#: Raised by redis-py 8.1 and uvloop 0.23 when a connection is closed while a command is on its way, and two that the
#: library documents. The race cannot be made at will, so the client is a stand-in.
RAISED = [
    (AttributeError("'NoneType' object has no attribute 'writelines'"), "AttributeError: 'NoneType' object"),
    (RuntimeError("the transport is closed"), "RuntimeError: the transport is closed"),
    (RedisConnectionError("refused"), "refused"),
    (TimeoutError(), "TimeoutError"),
]


class Client:
    def __init__(self, error: Exception) -> None:
        self._error = error

    async def evalsha(self, *_: Any) -> None:
        raise self._error


@pytest.mark.parametrize("error, text", RAISED, ids=[type(error).__name__ for error, _ in RAISED])
async def test_whatever_the_library_raises_says_that_the_store_is_unavailable(error: Exception, text: str) -> None:
    script = load("occupancy_lease", common="occupancy_common")
    with pytest.raises(StoreUnavailable, match=f"^occupancy_lease: {text}"):
        await run(Client(error), script, ["k"], [], 5)  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable, match=f"^reading: {text}"):
        async with bounded("reading", 5):
            raise error


@pytest.mark.parametrize("error", [IncarnationGone("w1"), AssertionError("impossible")], ids=["told", "fault"])
async def test_an_error_of_our_own_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)):
        async with bounded("reading", 5):
            raise error
    with pytest.raises(type(error)):
        await run(Client(error), load("rate_limit"), ["k"], [], 5)  # type: ignore[arg-type]
