"""Occupancy in Redis, shared by all workers of the cluster; every change is one Lua script (`redis/lua/occupancy_*`).

Never decides anything between two replies.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from secrets import token_hex
from typing import Any, TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from engine.config.event_types import DEPARTURES
from engine.errors import IncarnationGone, StoreUnavailable
from engine.interfaces import Answer, Due, InterestOf, KeptChange, MemberReport, Report, Transition
from engine.log.notices import Notices
from engine.metrics.metrics import Metrics
from engine.occupancy import redis_wire
from engine.occupancy.audit import Audit
from engine.occupancy.failure_detector import FailureDetector
from engine.occupancy.redis_keys import Keys, fact, parse_fact, parse_member_fact
from engine.redis.scripts import Script, bounded, load, run
from engine.redis.suitability import Suitability

#: Fields read in one step of a scan, so that no hash, however large, holds up Redis or this worker's loop.
SCAN_COUNT = 1000
#: Says who made a stream's id; another one in each process.
SEED = token_hex(16)

_COMMON = "occupancy_common"
_REPORT = load("occupancy_report", common=_COMMON)
_EMIT_CURRENT = load("occupancy_emit_current", common=_COMMON)
_PURGE = load("occupancy_purge", common=_COMMON)
_JOIN = load("occupancy_join", common=_COMMON)
_LEAVE = load("occupancy_leave", common=_COMMON)
_LEASE = load("occupancy_lease", common=_COMMON)
_DUE = load("occupancy_due", common=_COMMON)
_TOTALS = load("occupancy_totals", common=_COMMON)
_COMMIT = load("occupancy_commit", common=(_COMMON, "history_common"))
_PUSH = load("occupancy_push", common=_COMMON)
_AUDIT = load("occupancy_audit", common=_COMMON)

T = TypeVar("T")

_log = logging.getLogger(__name__)


class RedisOccupancy:
    """interfaces.OccupancyStore in Redis.

    :param client: with replies as bytes (`decode_responses` off).
    :param prefix: what all keys begin with. :param topic_prefix: what the workers' pub/sub topics begin with.
    :param timeout_s: how long one command may take.
    :param clock: seconds that only grow, for heartbeats.
    :param metrics: counts what cannot be read.
    :param life: of the server that has the keys, as `history/redis.py` takes it.
    :param server: asked before a script is run; None where that was done already.
    """

    def __init__(
        self,
        client: Redis,
        prefix: str,
        topic_prefix: str,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
        metrics: Metrics | None = None,
        life: Callable[[], str] = str,
        server: Suitability | None = None,
    ) -> None:
        self._client = client
        self._life = life
        self._server = server
        self._keys = Keys(prefix)
        self._topic_prefix = topic_prefix
        self._timeout_s = timeout_s
        self._detector = FailureDetector(clock)
        #: Heartbeats by which `expired` found an incarnation dead; a purge holds only while they have not moved.
        self._judged: dict[str, str] = {}
        self._audit = Audit(self._keys, self._scan, self.counts)
        self._turn = 0
        #: Whose report was answered last, and its number.
        self._answered = ("", 0)
        #: The greatest sequence number that was emitted from here.
        self._emitted = 0
        self.epoch = ""
        self._malformed = (metrics or Metrics()).occupancy.malformed
        self._tampered = (metrics or Metrics()).occupancy.tampered
        self._malformed_logged = False
        self._notices = Notices(_log)

    # --- workers

    async def join(self, incarnation: str) -> str:
        if not await self._join(incarnation, 1):
            raise IncarnationGone(incarnation)
        return self.epoch

    async def heartbeat(self, incarnation: str) -> bool:
        return await self._join(incarnation, 0)

    async def leave(self, incarnation: str) -> None:
        await self._run(_LEAVE, incarnation)

    async def report(self, incarnation: str, reports: Sequence[Report]) -> list[Answer]:
        # Grows from call to call, also over a restart of this driver: see occupancy_report.lua.
        turn = self._turn = max(self._turn + 1, time.time_ns() // 1000)
        answered = self._last_answered(incarnation)
        raw = await self._run(_REPORT, incarnation, turn, answered, self.epoch, *redis_wire.encode_reports(reports))
        if raw is None:
            raise IncarnationGone(incarnation)
        if raw == 0:
            raise StoreUnavailable("a newer report was applied before this one")
        self._answered = (incarnation, turn)
        answers = [redis_wire.decode_answer(answer) for answer in raw] if isinstance(raw, list) else []
        if len(answers) != len(reports) or None in answers:
            self._note_malformed("answer to a report")
            raise StoreUnavailable("the answer to a report could not be read")
        return answers  # type: ignore[return-value]

    async def emit_current(self, reports: Sequence[Report]) -> None:
        await self._run(_EMIT_CURRENT, *redis_wire.encode_reports(reports))

    async def held(self, incarnation: str) -> AsyncIterator[dict[tuple[str, str, str | None], int]]:
        async for page in self._pages(self._keys.worker(incarnation)):
            yield self._facts(page, _count_fact, "fact")
        async for page in self._pages(self._keys.worker_members(incarnation)):
            yield self._facts(page, parse_member_fact, "member fact")

    # --- reads

    async def channels(self, app_id: str, prefix: str = "") -> dict[str, int]:
        match = glob_escape(prefix) + "*" if prefix else None
        found = {}
        async for channel, total in self._scan(self._keys.totals(app_id), match):
            if count := redis_wire.count_of(total):
                found[channel.decode("utf-8", "replace")] = count
        return found

    async def counts(self, app_id: str, channels: Sequence[str]) -> list[tuple[int, int]]:
        return await read_counts(self._client, self._keys, self._timeout_s, app_id, channels)

    async def totals(self, app_id: str, channels: Sequence[str]) -> tuple[int, list[int]]:
        version, *totals = await self._run(_TOTALS, app_id, *channels)
        return int(version), [redis_wire.count_of(total) for total in totals]

    async def members(self, app_id: str, channel: str) -> dict[str, str]:
        async with bounded("members", self._timeout_s):
            raw = await self._client.hgetall(self._keys.members(app_id, channel))
        return redis_wire.decode_members(raw.items())

    # --- the leader

    async def acquire(self, incarnation: str, ttl_ms: int) -> bool:
        return bool(await self._run(_LEASE, incarnation, ttl_ms))

    async def release(self, incarnation: str) -> None:
        await self._run(_LEASE, incarnation, 0)

    async def expired(self, timeout_ms: int) -> list[str]:
        purging, workers = await self._workers()
        beats = {name.decode("utf-8", "replace"): beat for name, beat in workers.items()}
        suspected = self._detector.suspects(beats, timeout_ms / 1000)
        self._judged = {name: f"{beats[name]:.0f}" for name in suspected}
        return [name.decode("utf-8", "replace") for name in purging] + suspected

    async def purge(
        self,
        leader: str,
        dead: str,
        interest_of: InterestOf,
        limit: int,
        undoing: Callable[[Report], None] | None = None,
    ) -> bool:
        judged = self._judged.get(dead, "")
        if await self._run(_PURGE, leader, dead, judged) <= 0:
            return False
        # Nobody changes these any more: reports of this incarnation are refused from here on.
        reports = await self._facts_to_undo(dead, interest_of, limit)
        if undoing is not None:
            for report in reports:
                undoing(report)
        return bool(await self._run(_PURGE, leader, dead, judged, *redis_wire.encode_reports(reports)) > 0)

    async def due(self, limit: int) -> Due:
        now_us, flat, later = await self._run(_DUE, limit, self._emitted)
        transitions, unreadable = [], []
        for entry, score in redis_wire.pairs(flat):
            transition = redis_wire.decode_transition(entry, score)
            if transition is None:
                unreadable.append(entry)
            else:
                transitions.append(transition)
        if unreadable:
            # Left in, they would stand in front of the others for ever.
            self._note_malformed("transition", len(unreadable))
            async with bounded("due", self._timeout_s):
                await self._client.zrem(self._keys.transitions, *unreadable)
        wait_ms = None if later is None else max(0, math.ceil((float(later) - now_us) / 1000))
        return Due(transitions, wait_ms)

    @property
    def pushes_jobs(self) -> bool:
        return True

    async def commit(
        self,
        leader: str,
        emitted: Sequence[Transition],
        jobs: Sequence[tuple[str, bytes]],
        kept: Sequence[KeptChange] = (),
    ) -> bool:
        args: list[str | bytes | int] = [leader, len(emitted)]
        for transition in emitted:
            settles = transition.name in DEPARTURES
            field = fact(transition.app_id, transition.channel, transition.user_id) if settles else ""
            args += (transition.id, field)
        args += (SEED, self._life(), *redis_wire.encode_kept(kept))
        for job in jobs:
            args += job
        committed = bool(await self._run(_COMMIT, *args))
        if committed:
            self._emitted = max((transition.seq for transition in emitted), default=self._emitted)
        return committed

    async def push(self, jobs: Sequence[tuple[str, bytes]]) -> None:
        await self._run(_PUSH, *(part for job in jobs for part in job))

    async def audit(self, leader: str, apps: Sequence[str], interest_of: InterestOf, limit: int) -> int:
        purging, workers = await self._workers()
        names = [name.decode("utf-8", "replace") for name in (*purging, *workers)]
        reports = await self._audit.next(apps, names, interest_of, limit)
        mended, tampered = await self._run(_AUDIT, leader, *redis_wire.encode_reports(reports))
        self._note_tampered(dict(redis_wire.pairs(tampered)))
        return max(0, int(mended))

    # --- helpers

    async def _join(self, incarnation: str, known: int) -> bool:
        epoch = await self._run(_JOIN, incarnation, known, self._last_answered(incarnation), self.epoch)
        if not isinstance(epoch, bytes):
            return False
        self.epoch = epoch.decode("utf-8", "replace")
        return True

    def _last_answered(self, incarnation: str) -> int:
        """Should Redis not know this report any more, it has lost data."""
        name, turn = self._answered
        return turn if name == incarnation else 0

    async def _run(self, script: Script, *args: str | bytes | int) -> Any:
        if self._server is not None:
            return await self._server.run(script, (self._keys.base,), (self._topic_prefix, *args), self._timeout_s)
        return await run(self._client, script, (self._keys.base,), (self._topic_prefix, *args), self._timeout_s)

    async def _workers(self) -> tuple[set[bytes], dict[bytes, float]]:
        """Incarnations being purged, and the others with their last heartbeats."""
        async with bounded("workers", self._timeout_s), self._client.pipeline(transaction=False) as pipe:
            pipe.smembers(self._keys.purging)
            pipe.zrange(self._keys.workers, 0, -1, withscores=True)
            purging, workers = await pipe.execute()
        return purging, dict(workers)

    async def _scan(self, key: str, match: str | None = None) -> AsyncIterator[tuple[bytes, bytes]]:
        async for page in self._pages(key, match):
            for item in page.items():
                yield item

    async def _pages(self, key: str, match: str | None = None) -> AsyncIterator[dict[bytes, bytes]]:
        cursor = 0
        while True:
            async with bounded("scan", self._timeout_s):
                try:
                    cursor, page = await self._client.hscan(key, cursor, match=match, count=SCAN_COUNT)
                except ResponseError as error:
                    if not of_another_type(error):
                        raise
                    # Somebody else has overwritten it, and it begins anew with the next script that comes to it.
                    return
            yield cast(dict[bytes, bytes], page)
            if not cursor:
                return

    def _facts(
        self, page: dict[bytes, bytes], parse: Callable[[bytes], tuple[str, str, str | None] | None], what: str
    ) -> dict[tuple[str, str, str | None], int]:
        facts = {}
        for field, value in page.items():
            if (parsed := parse(field)) is None:
                self._note_malformed(what)
            elif count := redis_wire.count_of(value):
                facts[parsed] = count
        return facts

    async def _facts_to_undo(self, dead: str, interest_of: InterestOf, limit: int) -> list[Report]:
        """Up to `limit` facts as the reports that take them back; members first, as a channel is vacated last."""
        key = self._keys.worker_members(dead)
        fields = await self._some_fields(key, limit)
        if fields:
            by_channel: dict[tuple[str, str], list[MemberReport]] = {}
            for app_id, channel, user_id in await self._parsed(key, fields, parse_member_fact):
                by_channel.setdefault((app_id, channel), []).append(MemberReport(user_id, 0))
            return [_undo(*place, redis_wire.UNCHANGED, interest_of, tuple(gone)) for place, gone in by_channel.items()]
        key = self._keys.worker(dead)
        fields = await self._some_fields(key, limit)
        return [_undo(*place, 0, interest_of) for place in await self._parsed(key, fields, parse_fact)]

    async def _some_fields(self, key: str, limit: int) -> list[bytes]:
        async with bounded("purge", self._timeout_s):
            cursor, page = await self._client.hscan(key, 0, count=limit)
            while cursor and not page:
                cursor, page = await self._client.hscan(key, cursor, count=limit)
        # A small hash is given whole, whatever was asked for.
        return list(cast(dict[bytes, bytes], page))[:limit]

    async def _parsed(self, key: str, fields: Iterable[bytes], parse: Callable[[bytes], T | None]) -> list[T]:
        """The facts in these fields; a field that is none is deleted, or the purge would never end."""
        facts, bad = [], []
        for field in fields:
            parsed = parse(field)
            if parsed is None:
                bad.append(field)
            else:
                facts.append(parsed)
        if bad:
            self._note_malformed("fact", len(bad))
            async with bounded("purge", self._timeout_s):
                await self._client.hdel(key, *bad)
        return facts

    def _note_tampered(self, times: dict[bytes, bytes]) -> None:
        if not times:
            return
        self._tampered.add(sum(map(redis_wire.count_of, times.values())))
        kinds = ", ".join(sorted(kind.decode("utf-8", "replace") for kind in times))
        self._notices.note(
            logging.WARNING,
            "tampered",
            f"somebody else has deleted or overwritten keys of the shared state ({kinds}); they are restored from what"
            f" workers hold. Give the engine a Redis or a prefix of its own (keys under {self._keys.base} are its own),"
            " with maxmemory-policy noeviction",
        )

    def _note_malformed(self, what: str, n: int = 1) -> None:
        if not self._malformed_logged:
            self._malformed_logged = True
            _log.warning("Redis holds what is not ours: unreadable %s (only counted from now on)", what)
        self._malformed.add(n)


async def read_counts(
    client: Redis, keys: Keys, timeout_s: float, app_id: str, channels: Sequence[str]
) -> list[tuple[int, int]]:
    """As `OccupancyStore.counts`, for whoever has the client."""
    if not channels:
        return []
    async with bounded("counts", timeout_s), client.pipeline(transaction=False) as pipe:
        for channel in channels:
            pipe.hget(keys.totals(app_id, channel), channel)
            pipe.hlen(keys.members(app_id, channel))
        raw = await pipe.execute(raise_on_error=False)
        for at, answer in enumerate(raw):
            if isinstance(answer, ResponseError) and of_another_type(answer):
                raw[at] = 0
            elif isinstance(answer, Exception):
                raise answer
    return [(redis_wire.count_of(total), members) for total, members in zip(raw[::2], raw[1::2], strict=True)]


def of_another_type(error: ResponseError) -> bool:
    """Whether a key is not what it should be: somebody else has written it."""
    return str(error).startswith("WRONGTYPE")


def glob_escape(text: str) -> str:
    return "".join(f"\\{char}" if char in "*?[]\\^-" else char for char in text)


def _count_fact(field: bytes) -> tuple[str, str, None] | None:
    place = parse_fact(field)
    return None if place is None else (*place, None)


def _undo(
    app_id: str, channel: str, count: int, interest_of: InterestOf, members: tuple[MemberReport, ...] = ()
) -> Report:
    return Report(app_id, channel, count, 0, *interest_of(app_id, channel), members=members)
