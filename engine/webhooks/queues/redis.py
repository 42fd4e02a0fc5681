"""The webhook queue in Redis lists, crash-safe; `redis/lua/queue_common.lua` lists its keys.

Operators may also move entries between `<prefix>failed` and `<prefix>default` by hand. It trusts no byte that it reads
and writes no secret.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from engine.errors import IncarnationGone, StoreUnavailable
from engine.interfaces import Backlog, Job, Reservation
from engine.log.notices import Notices
from engine.metrics.metrics import Metrics
from engine.redis.scripts import Script, bounded, load, run
from engine.redis.suitability import Suitability
from engine.webhooks.job import MalformedJob, decode, encode, malformed_entry
from engine.webhooks.queues.dead_letter_room import SLICE, DeadLetterRoom
from engine.webhooks.room import LIMITS, LOG_EVERY_S, Limits, no_room

_ATTACH = load("queue_attach", common="queue_common")
_DEPTH = load("queue_depth", common="queue_common")
_DETACH = load("queue_detach", common="queue_common")
_RESERVE = load("queue_reserve", common="queue_common")
_RESUME = load("queue_resume", common="queue_common")
_SETTLE = load("queue_settle", common="queue_common")
_REQUEUE = load("queue_requeue", common="queue_common")

#: Longest blocking call; shorter than any sensible socket time-out of the client.
MAX_WAIT_S = 1.0

_log = logging.getLogger(__name__)


class RedisQueue:
    """A `WebhookQueue` in Redis.

    :param client: with `decode_responses` off; the caller closes it.
    :param consumer: this worker's incarnation; a worker that learns of its end calls `expire` with it.
    :param lease_s: how long a consumer that says nothing counts as alive.
    :param max_dead_letters: dead letters kept; the oldest go first, of the endpoints that have most.
    :param server: asked before anything is changed; None where that was done already.
    :param clock: seconds, monotonic. :param metrics: counts what is no job, and what was given up for want of room.
    :param limits: bytes of what waits for an endpoint and for an application, and of all dead letters.
    """

    def __init__(
        self,
        client: Redis,
        prefix: str,
        consumer: str,
        *,
        lease_s: float = 3.0,
        max_dead_letters: int = 100_000,
        timeout_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        metrics: Metrics | None = None,
        limits: Limits = LIMITS,
        server: Suitability | None = None,
    ) -> None:
        self._limits = limits
        self._notices = Notices(_log, clock, LOG_EVERY_S)
        self._client = client
        self._server = server
        self._prefix = prefix
        self._names = (f"{consumer}.{n}" for n in itertools.count())
        self._me = next(self._names)
        self._lease_s = lease_s
        self._max_dead_letters = max_dead_letters
        self._timeout_s = timeout_s
        self._clock = clock
        self._lease_until = 0.0
        self._dead_room = DeadLetterRoom(self._run, max_dead_letters, limits.dead_bytes)
        self._metrics = (metrics or Metrics()).webhooks

    async def start(self) -> None:
        """Nothing to open: the client connects by itself."""

    async def stop(self) -> None:
        """Nothing to close."""

    @property
    def default_list(self) -> str | None:
        return self._prefix + "default"

    async def put(self, jobs: Sequence[Job]) -> None:
        if jobs:
            if self._server is not None:
                await self._server.hold()
            async with bounded("queue put", self._timeout_s):
                await self._client.rpush(self._prefix + "default", *map(encode, jobs))

    # --- the consumer

    async def attach(self, in_flight: Sequence[Job] = ()) -> Backlog | None:
        asked = self._clock()
        entries = [_entry(job) for job in in_flight]
        raw = await self._run(_ATTACH, self._lease_ms(), *entries)
        status = raw[0] if isinstance(raw, list) and raw else None
        if status == -1:
            self._give_up()
        if status != 1:
            return None
        self._lease_until = asked + self._lease_s
        delayed = [job for entry in raw[2] if (job := _readable(entry))]
        return Backlog(await self._decoded(raw[1]), delayed)

    async def detach(self) -> None:
        self._lease_until = 0.0
        await self._run(_DETACH)

    async def expire(self, consumer: str) -> None:
        async with bounded("queue expire", self._timeout_s):
            for name in map(_text, await self._client.smembers(self._prefix + "consumers")):
                if name.rpartition(".")[0] == consumer:
                    await self._client.delete(self._prefix + "consumer:" + name)

    @property
    def attached(self) -> bool:
        return self._clock() < self._lease_until

    async def reserve(self, limit: int, full: Collection[str] = ()) -> Reservation:
        sizes = (self._limits.lane_bytes, self._limits.app_bytes)
        return await self._take(_RESERVE, self._lease_ms(), limit, *sizes, *full)

    async def resume(self, lane: str, limit: int) -> Reservation:
        return await self._take(_RESUME, self._lease_ms(), limit, lane)

    async def wait(self, timeout_s: float) -> None:
        # A blocking look: the first entry is put back where it was taken from.
        default, wait_s = self._prefix + "default", min(timeout_s, MAX_WAIT_S)
        async with bounded("queue wait", wait_s + self._timeout_s):
            try:
                await self._client.blmove(default, default, wait_s, "LEFT", "LEFT")  # type: ignore[arg-type]
            except RedisTimeoutError:
                return

    async def ack(self, job: Job) -> None:
        await self._settle(job, "ack", b"", 0)

    async def drop(self, copy: Job, kept: Job) -> None:
        # Redis tells entries apart by their bytes alone.
        await self._settle(copy, "drop" if _entry(copy) == _entry(kept) else "ack", b"", 0)

    async def retry(self, job: Job, delay_s: float) -> None:
        entry = encode(job, delayed=True)
        await self._settle(job, "retry", entry, round(delay_s * 1000))
        if isinstance(job, _InFlightJob):
            job.entry = entry

    async def bury(self, job: Job) -> None:
        await self._settle(job, "bury", encode(job, dead_ms=time.time_ns() // 1_000_000), self._max_dead_letters)

    # --- for operators

    async def depth(self) -> Mapping[str, int]:
        raw = await self._run(_DEPTH)
        if not isinstance(raw, list) or len(raw) != 4:
            raise StoreUnavailable(f"{_DEPTH.name}: unreadable reply")
        return dict(zip(("waiting", "in_flight", "delayed", "dead"), map(int, raw), strict=True))

    async def dead_letters(self, limit: int) -> list[Job]:
        if limit <= 0:
            return []
        entries = await self._dead_entries(-limit, -1)
        return [job for entry in reversed(entries) if (job := _readable(entry, dead=True))]

    async def delayed_jobs(self, limit: int) -> list[Job]:
        if limit <= 0:
            return []
        entries = await self._delayed_entries(0, limit - 1)
        return [job for entry in entries if (job := _readable(entry))]

    async def requeue(self, job_id: str | None) -> int:
        if job_id is not None:
            entry = await _find(job_id, self._dead_entries)
            return 0 if entry is None else await self._count(_REQUEUE, 0, entry)
        async with bounded("queue requeue", self._timeout_s):
            left = await self._client.llen(self._prefix + "failed")
        moved = 0
        while left > 0 and (done := await self._count(_REQUEUE, min(left, SLICE))):
            moved, left = moved + done, left - done
        return moved

    async def hasten(self, job_id: str) -> int:
        entry = await _find(job_id, self._delayed_entries)
        if entry is None:
            return 0
        # Due since ever. One that the consumer has taken meanwhile is not put there again.
        async with bounded("queue hasten", self._timeout_s):
            return int(await self._client.zadd(self._prefix + "delayed", {entry: 0}, xx=True, ch=True) or 0)

    async def forget(self, job_id: str) -> int:
        entry = await _find(job_id, self._dead_entries)
        if entry is None:
            return 0
        async with bounded("queue forget", self._timeout_s):
            return int(await self._client.lrem(self._prefix + "failed", 1, cast("str", entry)))

    async def purge_dead_letters(self) -> int:
        async with bounded("queue purge", self._timeout_s), self._client.pipeline(transaction=True) as pipe:
            pipe.llen(self._prefix + "failed")
            pipe.delete(self._prefix + "failed")
            return int((await pipe.execute())[0])

    # --- inside

    async def _take(self, script: Script, *args: str | bytes | int) -> Reservation:
        asked = self._clock()
        raw = await self._consume(script, *args)
        if not isinstance(raw, list) or len(raw) != 4:
            raise StoreUnavailable(f"{script.name}: unreadable reply")
        self._lease_until = asked + self._lease_s
        entries, due_ms, deferred, dropped = raw
        for lane in map(_text, dropped):
            self._note_dropped(lane)
        return Reservation(
            await self._decoded(entries),
            due_ms / 1000 if due_ms >= 0 else None,
            frozenset(map(_text, deferred)),
        )

    def _note_dropped(self, lane: str) -> None:
        app_id, _, endpoint_id = lane.rpartition("/")
        self._metrics.requests_dropped.add(1, app_id, endpoint_id)
        self._notices.note(logging.ERROR, "full", no_room(app_id, endpoint_id))

    async def _decoded(self, entries: Sequence[bytes]) -> list[Job]:
        """The jobs of entries in flight; what is none goes to the dead letters."""
        jobs: list[Job] = []
        for entry in entries:
            try:
                jobs.append(_InFlightJob.of(decode(entry), entry))
            except MalformedJob as error:
                self._metrics.malformed.add(1)
                _log.warning("webhook queue: an entry is no job (%s); moved to %sfailed", error, self._prefix)
                await self._settle_entry(entry, "bury", malformed_entry(entry, str(error)), self._max_dead_letters)
        return jobs

    async def _settle(self, job: Job, how: str, kept: bytes, number: int) -> None:
        await self._settle_entry(_entry(job), how, kept, number)

    async def _settle_entry(self, entry: bytes, how: str, kept: bytes, number: int) -> None:
        raw = await self._consume(_SETTLE, entry, how, kept, number, self._limits.dead_bytes)
        if isinstance(raw, list) and len(raw) == 3:
            dropped, dead, dead_bytes = map(int, raw)
            self._note_forgotten(dropped, "all endpoints")
            for lane, count in (await self._dead_room.make(dead, dead_bytes)).items():
                self._note_forgotten(count, lane or "entries that are no job")

    def _note_forgotten(self, number: int, whose: str) -> None:
        if number > 0:
            self._metrics.forgotten.add(number)
            text = "webhook queue: more than %d dead letters, or more than %d bytes of them; %s lost the oldest %d"
            _log.error(text, self._max_dead_letters, self._limits.dead_bytes, whose, number)

    async def _consume(self, script: Script, *args: str | bytes | int) -> Any:
        raw = await self._run(script, *args)
        if raw == -1:
            self._give_up()
        if raw == -2:
            self._lease_until = 0.0
            raise StoreUnavailable(f"{script.name}: Redis does not know this consumer any more")
        return raw

    def _give_up(self) -> None:
        """Another consumer has taken over: forget the old name, which will never be valid again."""
        gone, self._me, self._lease_until = self._me, next(self._names), 0.0
        raise IncarnationGone(f"webhook consumer {gone}")

    async def _run(self, script: Script, *args: str | bytes | int) -> Any:
        if self._server is not None:
            return await self._server.run(script, [self._prefix], [self._me, *args], self._timeout_s)
        return await run(self._client, script, [self._prefix], [self._me, *args], self._timeout_s)

    async def _count(self, script: Script, *args: str | bytes | int) -> int:
        return int(await self._run(script, *args))

    def _lease_ms(self) -> int:
        return max(1, round(self._lease_s * 1000))

    async def _dead_entries(self, first: int, last: int) -> list[bytes]:
        async with bounded("queue failed", self._timeout_s):
            return cast("list[bytes]", await self._client.lrange(self._prefix + "failed", first, last))

    async def _delayed_entries(self, first: int, last: int) -> list[bytes]:
        async with bounded("queue delayed", self._timeout_s):
            return cast("list[bytes]", await self._client.zrange(self._prefix + "delayed", first, last))


@dataclass(slots=True)
class _InFlightJob(Job):
    """A job with the bytes under which Redis holds it."""

    entry: bytes = b""

    @classmethod
    def of(cls, job: Job, entry: bytes) -> _InFlightJob:
        return cls(**{field.name: getattr(job, field.name) for field in fields(Job)}, entry=entry)


async def _find(job_id: str, entries_of: Callable[[int, int], Awaitable[list[bytes]]]) -> bytes | None:
    """The entry of that job. :param entries_of: those from one place to another, both included."""
    for first in itertools.count(0, SLICE):
        entries = await entries_of(first, first + SLICE - 1)
        for entry in entries:
            if (job := _readable(entry)) and job.id == job_id:
                return entry
        if len(entries) < SLICE:
            break
    return None


def _entry(job: Job) -> bytes:
    return job.entry if isinstance(job, _InFlightJob) else encode(job, delayed=True)


def _readable(entry: bytes, *, dead: bool = False) -> Job | None:
    try:
        return decode(entry, dead=dead)
    except MalformedJob:
        return None


def _text(name: bytes | str) -> str:
    return name if isinstance(name, str) else name.decode("utf-8", "replace")
