"""Kept events in Redis, read and removed by scripts over redis-py: those of channels, and who came and went in them,
which the leader's commit puts in (`occupancy/redis.py`). `KEEP` alone is hot: the adapter runs it, with its
publishes and in their order, to keep an event and publish it in one step.

The script decides an event's serial and publishes the event at that moment, so the order of a stream is the order in
which every worker hears of it. Where workers share a log, what is kept takes this road all the same: two orders would
have to be brought into agreement afterwards, by a process that may die.

Redis is not trusted: what has another form than the scripts write counts as not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from secrets import token_hex
from typing import Any

from redis.asyncio import Redis

from engine.app import Retention
from engine.errors import StoreUnavailable
from engine.interfaces import Kept, Page, PageQuery, Purged, Replayed, ReplayQuery, Stream
from engine.redis import scripts

COMMON = "history_common"
KEEP = scripts.load("history_keep", common=COMMON)
REPLAY = scripts.load("history_replay", common=COMMON)
PAGE = scripts.load("history_page", common=COMMON)
PURGE = scripts.load("history_purge", common=COMMON)

#: How long one script may take.
TIMEOUT_S = 2.0
#: Says who made a stream's id; another one in each process.
SEED = token_hex(16)


def keys(prefix: str, topic: str) -> tuple[str, str]:
    """Events and state, in the slot of the topic, which a script both writes to and publishes on."""
    return f"{prefix}history:{{{topic}}}", f"{prefix}history:{{{topic}}}:state"


def keep_arguments(
    prefix: str, topic: str, retention: Retention, envelope: bytes, publish: str, life: str
) -> tuple[bytes | str | int, ...]:
    """What comes behind KEEP in EVALSHA or EVAL.

    :param envelope: of `pack_event`. :param publish: PUBLISH or SPUBLISH. :param life: see `history_common.lua`.
    """
    return (2, *keys(prefix, topic), SEED, life, *_bounds(retention), envelope, publish, topic)


def streams_of_topics(
    prefix: str, topic_prefix: str, life_of: Callable[[str], str]
) -> Callable[[str, str], tuple[tuple[str, str], str]]:
    """Where the adapter keeps what is published in a channel, as `RedisHistory` takes it.

    :param prefix: start of every key. :param topic_prefix: start of the adapter's topics, which name the streams.
    :param life_of: (topic) -> the life of the server that has its stream, "" where that is not known.
    """

    def where(app_id: str, channel: str) -> tuple[tuple[str, str], str]:
        topic = f"{topic_prefix}{app_id}/{channel}"
        return keys(prefix, topic), life_of(topic)

    return where


class RedisHistory:
    """interfaces.HistoryStore in Redis.

    :param client: gives bytes (no `decode_responses`).
    :param where: (app id, channel) -> the keys of its events and its state, and the life of the server that has them.
    """

    name = "redis"

    def __init__(self, client: Redis, where: Callable[[str, str], tuple[tuple[str, str], str]]) -> None:
        self._client = client
        self._where = where

    async def inspect(self, app_id: str, channel: str, retention: Retention) -> Stream:
        return (await self.page(app_id, channel, retention, PageQuery(limit=0))).stream

    async def page(self, app_id: str, channel: str, retention: Retention, query: PageQuery) -> Page:
        within = query.bounds
        bounds = (within.start_serial, within.end_serial, within.start_time_ms, within.end_time_ms, query.after)
        asked = (
            query.limit,
            int(query.newest_first),
            *(-1 if each is None else each for each in bounds),
            query.max_bytes,
        )
        found = await self._run(PAGE, app_id, channel, retention, *asked)
        return Page(_stream(found[0]), tuple(_events(found[2])), found[1] == 1)

    async def replay(
        self, app_id: str, channel: str, retention: Retention, query: ReplayQuery, max_bytes: int
    ) -> Replayed:
        after = -1 if query.after is None else query.after
        asked = (query.count, query.window_ms, query.after_ms, after, max_bytes)
        found = await self._run(REPLAY, app_id, channel, retention, *asked)
        return Replayed(_stream(found[0]), tuple(_events(found[2]))[::-1], found[1] == 1)

    async def reset(self, app_id: str, channel: str, retention: Retention) -> Purged:
        return await self._purge(app_id, channel, retention, "reset", 0)

    async def purge(
        self, app_id: str, channel: str, retention: Retention, before_serial: int | None, before_ms: int | None
    ) -> Purged:
        if before_serial is not None:
            return await self._purge(app_id, channel, retention, "serial", before_serial)
        if before_ms is not None:
            return await self._purge(app_id, channel, retention, "ms", before_ms)
        return await self._purge(app_id, channel, retention, "all", 0)

    async def _purge(self, app_id: str, channel: str, retention: Retention, mode: str, limit: int) -> Purged:
        found = await self._run(PURGE, app_id, channel, retention, mode, limit)
        return Purged(_stream(found[0]), found[1].decode(), int(found[2]), int(found[3]))

    async def _run(
        self, script: scripts.Script, app_id: str, channel: str, retention: Retention, *args: str | int
    ) -> Any:
        stream, life = self._where(app_id, channel)
        given = (SEED, life, *_bounds(retention), *args)
        found = await scripts.run(self._client, script, stream, given, TIMEOUT_S)
        if not isinstance(found, list):
            raise StoreUnavailable(f"{script.name}: an answer of another form")
        return found


def _bounds(retention: Retention) -> tuple[int, int, int]:
    return retention.count, retention.window_ms, retention.bytes


def _stream(state: Sequence[bytes]) -> Stream:
    return Stream(state[0].decode(), *map(int, state[1:]))


def _events(found: Sequence[bytes]) -> Iterator[Kept]:
    for at in range(0, len(found), 2):
        serial, _, ms = found[at].partition(b"-")
        yield Kept(int(serial), int(ms), found[at + 1])
