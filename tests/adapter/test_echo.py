"""What must come back to a worker that publishes it, and what it means that it does not."""

from __future__ import annotations

import asyncio

from engine.adapter.echo import MAX_UNHEARD, Echo
from engine.errors import StoreUnavailable


class Wire:
    """Takes what is published, and gives it back while it is whole."""

    def __init__(self) -> None:
        self.whole = True
        self.refuses = ""
        self.changes = 0
        self.echo = Echo(self.publish, self.changed)

    def publish(self, topic: bytes, _: bytes) -> asyncio.Future[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if self.refuses:
            future.set_exception(StoreUnavailable(self.refuses))
            return future
        future.set_result(1)
        if self.whole:
            asyncio.get_running_loop().call_soon(self.echo.heard, topic)
        return future

    def changed(self) -> None:
        self.changes += 1


async def turns(wire: Wire, times: int) -> None:
    for _ in range(times):
        wire.echo._ask()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_it_is_proved_once_every_topic_was_heard_and_as_long_as_they_are() -> None:
    wire = Wire()
    wire.echo.use([b"a", b"b"])
    assert not wire.echo.proved
    await turns(wire, 1)
    assert wire.echo.proved and wire.changes == 1
    assert wire.echo.heard(b"a") and not wire.echo.heard(b"c")

    wire.whole = False
    await turns(wire, MAX_UNHEARD)
    assert wire.echo.proved, "a moment of silence is none"
    await turns(wire, 1)
    assert not wire.echo.proved and wire.changes == 2

    wire.whole = True
    await turns(wire, 1)
    assert wire.echo.proved and wire.changes == 3


async def test_a_lost_connection_takes_the_proof_away_until_the_next_echo() -> None:
    wire = Wire()
    wire.echo.use([b"a"])
    await turns(wire, 1)
    wire.echo.doubt()
    assert not wire.echo.proved
    await asyncio.sleep(0)
    assert wire.echo.proved


async def test_what_redis_says_to_a_refused_one_is_kept() -> None:
    wire = Wire()
    wire.echo.use([b"a"])
    wire.refuses = "NOPERM no channels"
    await turns(wire, 1)
    assert wire.echo.refusal == "NOPERM no channels"
    wire.refuses = ""
    await turns(wire, 1)
    assert wire.echo.refusal == ""
