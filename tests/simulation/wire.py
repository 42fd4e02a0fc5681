"""The network between simulated workers and the server: it delays, loses before or after the effect, and breaks.

`Client` has the part of redis-py's interface that the occupancy driver uses; each command is one message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

import hiredis
import redis.exceptions

from tests.simulation.loop import SimLoop

#: Longer than the client waits for an answer, so that the effect comes when nobody believes in it any more.
LATE_S = (2.0, 8.0)
SLOW_S = (0.01, 0.5)


class Peer(Protocol):
    """A worker as the network sees it."""

    name: str
    loop: SimLoop
    dead: bool
    #: No packet passes between it and the server.
    cut: bool


class Timetable(Protocol):
    """What the network asks of the timetable."""

    def at(self, delay_s: float, action: Callable[[], None]) -> None: ...
    def note(self, text: str) -> None: ...
    def script(self, who: str, name: str, args: tuple[Any, ...]) -> Any: ...
    def plain(self, *command: Any) -> Any: ...
    def sent(self, peer: Peer, name: str) -> None:
        """A command is under way."""


@dataclass(frozen=True, slots=True)
class Weather:
    """How likely each misfortune of a single command is."""

    lost_before: float = 0.0
    lost_after: float = 0.0
    late: float = 0.0
    slow: float = 0.02


class Wire:
    def __init__(self, timetable: Timetable, chance: Random, names: dict[str, str]) -> None:
        self.weather = Weather()
        #: The server is not there.
        self.down = False
        #: Messages that have not reached it yet.
        self.under_way = 0
        self._timetable = timetable
        self._chance = chance
        self._names = names
        self._known: set[str] = set()

    def forget_scripts(self) -> None:
        """The server has none loaded any more."""
        self._known.clear()

    def script(self, peer: Peer, sha: str, args: tuple[Any, ...], *, load: bool) -> asyncio.Future[Any]:
        name = self._names[sha]

        def execute() -> Any:
            if load:
                self._known.add(sha)
            elif sha not in self._known:
                return redis.exceptions.NoScriptError("NOSCRIPT")
            return self._timetable.script(peer.name, name, args)

        return self.send(peer, name, execute)

    def plain(self, peer: Peer, *commands: tuple[Any, ...]) -> asyncio.Future[Any]:
        """Commands in one message; the answer is a list."""
        return self.send(peer, str(commands[0][0]), lambda: [self._timetable.plain(*command) for command in commands])

    def send(self, peer: Peer, what: str, execute: Callable[[], Any]) -> asyncio.Future[Any]:
        future = peer.loop.create_future()
        weather, fate = self.weather, self._chance.random()
        lost_before = fate < weather.lost_before
        lost_after = not lost_before and fate < weather.lost_before + weather.lost_after
        late = self._chance.random() < weather.late
        delay_s = self._chance.uniform(*LATE_S) if late else self._latency_s()
        if lost_before or lost_after or late:
            self._timetable.note(
                f"{peer.name}: {what} {'late' if late else ''}{'lost before' if lost_before else ''}"
                f"{'lost after' if lost_after else ''}"
            )

        def arrive() -> None:
            self.under_way -= 1
            if lost_before or self.down or peer.cut or (peer.dead and self._chance.random() < 0.5):
                self._answer(peer, future, redis.exceptions.ConnectionError("lost"))
                return
            result = execute()
            self._answer(peer, future, redis.exceptions.ConnectionError("lost") if lost_after else result)

        self.under_way += 1
        self._timetable.at(delay_s, arrive)
        self._timetable.sent(peer, what)
        return future

    def _answer(self, peer: Peer, future: asyncio.Future[Any], result: Any) -> None:
        def arrive() -> None:
            if peer.dead:
                return
            error = redis.exceptions.ConnectionError("lost") if self.down or peer.cut else result
            # Through the loop, since a stopped process takes note of it only later.
            peer.loop.call_soon(_settle, future, error)

        self._timetable.at(self._latency_s(), arrive)

    def _latency_s(self) -> float:
        if self._chance.random() < self.weather.slow:
            return self._chance.uniform(*SLOW_S)
        return self._chance.expovariate(2000)


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if future.done():
        return
    if isinstance(result, hiredis.ReplyError):
        result = redis.exceptions.ResponseError(str(result))
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


class Client:
    """One worker's `redis.asyncio.Redis`."""

    def __init__(self, wire: Wire, peer: Peer, shas: dict[str, str]) -> None:
        self._wire = wire
        self._peer = peer
        self._shas = shas

    async def evalsha(self, sha: str, _: int, __: str, *args: Any) -> Any:
        return await self._wire.script(self._peer, sha, args, load=False)

    async def eval(self, source: str, _: int, __: str, *args: Any) -> Any:
        return await self._wire.script(self._peer, self._shas[source], args, load=True)

    async def hscan(self, key: str, cursor: int, match: str | None = None, count: int = 10) -> tuple[int, Any]:
        options = ("MATCH", match) if match else ()
        [[after, flat]] = await self._wire.plain(self._peer, ("HSCAN", key, cursor, *options, "COUNT", count))
        return int(after), dict(zip(flat[::2], flat[1::2], strict=True))

    async def hgetall(self, key: str) -> dict[bytes, bytes]:
        [found] = await self._wire.plain(self._peer, ("HGETALL", key))
        return found

    async def hdel(self, key: str, *fields: bytes) -> int:
        [n] = await self._wire.plain(self._peer, ("HDEL", key, *fields))
        return n

    async def zrem(self, key: str, *entries: bytes) -> int:
        [n] = await self._wire.plain(self._peer, ("ZREM", key, *entries))
        return n

    def pipeline(self, transaction: bool = True) -> Pipeline:
        return Pipeline(self._wire, self._peer)


class Pipeline:
    """Commands that leave together."""

    def __init__(self, wire: Wire, peer: Peer) -> None:
        self._wire = wire
        self._peer = peer
        self._commands: list[tuple[Any, ...]] = []

    async def __aenter__(self) -> Pipeline:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._commands.clear()

    def smembers(self, key: str) -> None:
        self._commands.append(("SMEMBERS", key))

    def zrange(self, key: str, first: int, last: int, withscores: bool) -> None:
        self._commands.append(("ZRANGE", key, first, last, *(("WITHSCORES",) if withscores else ())))

    def hget(self, key: str, field: str) -> None:
        self._commands.append(("HGET", key, field))

    def hlen(self, key: str) -> None:
        self._commands.append(("HLEN", key))

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Nobody writes keys of another type here: either all is answered, or the call fails."""
        return await self._wire.plain(self._peer, *self._commands)
