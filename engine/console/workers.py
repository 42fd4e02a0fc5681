"""Workers of this node, asked for what nobody else knows.

One that does not answer is passed over; a question that changes something is put to one worker only.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson

from engine.control import CONSOLE_SOCKETS
from engine.errors import ApiError, StoreUnavailable
from engine.interfaces import ChannelsPage, Job, MembersPage
from engine.tasks import within

#: Of an answer.
MAX_LINE_BYTES = 16 * 1024 * 1024
CONNECT_TIMEOUT_S = 1.0
TIMEOUT_S = 5.0


class Workers:
    """:param directory: where their sockets are."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def sockets(self) -> list[Path]:
        return sorted(self._directory.glob(CONSOLE_SOCKETS.format("*")))

    async def ask(self, name: str, *, changes: bool = False, **asked: Any) -> dict[str, Any]:
        """The answer of one of them. Raises what it was refused with, and StoreUnavailable when none answers.

        :param changes: the question must not be asked twice.
        """
        for path in self.sockets:
            found = await _ask(path, name, asked, changes=changes)
            if found is not None:
                return found
        raise StoreUnavailable("no worker answers")

    async def ask_all(self, name: str, **asked: Any) -> list[dict[str, Any]]:
        """The answers of all that give one. Raises StoreUnavailable when none does."""
        found = await asyncio.gather(*(_ask(path, name, asked, changes=False) for path in self.sockets))
        answers = [answer for answer in found if answer is not None]
        if not answers:
            raise StoreUnavailable("no worker answers")
        return answers


async def watch(path: Path, app_id: str, on_events: Callable[[list[dict[str, Any]]], None]) -> None:
    """Have a worker tell what happens there in an application, for as long as it and the caller go on.

    :param on_events: called with none as soon as it tells.
    """
    try:
        async with within(CONNECT_TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(str(path), limit=MAX_LINE_BYTES)
    except (OSError, TimeoutError):
        return
    try:
        writer.write(orjson.dumps({"ask": "tap", "app": app_id}) + b"\n")
        while line := await reader.readline():
            on_events(orjson.loads(line))
    except (OSError, ValueError):
        return
    finally:
        writer.close()


async def _ask(path: Path, name: str, asked: dict[str, Any], *, changes: bool) -> dict[str, Any] | None:
    """The answer of one; None when there is none."""
    try:
        async with within(CONNECT_TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(str(path), limit=MAX_LINE_BYTES)
    except (OSError, TimeoutError):
        return None
    try:
        async with within(TIMEOUT_S):
            writer.write(orjson.dumps({"ask": name, **asked}) + b"\n")
            found = orjson.loads(await reader.readuntil(b"\n"))
    except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError):
        if changes:
            raise StoreUnavailable("the worker that was asked has not answered; it may be done") from None
        return None
    finally:
        writer.close()
    if "answer" in found:
        return dict(found["answer"])
    if found["status"] == HTTPStatus.SERVICE_UNAVAILABLE:
        raise StoreUnavailable(str(found["error"]))
    raise ApiError(HTTPStatus(found["status"]), "refused", str(found["error"]))


class AskedPages:
    """interfaces.OccupancyPages of a worker that is alone."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    async def channels(self, app_id: str, prefix: str, after: str, limit: int) -> ChannelsPage:
        found = await self._workers.ask("channels", app=app_id, prefix=prefix, after=after, limit=limit)
        return ChannelsPage([(name, total) for name, total in found["rows"]], found["after"], found["total"])

    async def members(self, app_id: str, channel: str, after: str, limit: int) -> MembersPage:
        found = await self._workers.ask("members", app=app_id, channel=channel, after=after, limit=limit)
        return MembersPage(found["rows"], found["after"], found["total"])

    async def counts(self, app_id: str, channels: Sequence[str]) -> list[tuple[int, int]]:
        found = await self._workers.ask("counts", app=app_id, channels=channels)
        return [(total, members) for total, members in found["counts"]]


class AskedQueue:
    """What `webhooks.OperatedQueue` is, of the queues that workers have in their memory."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    async def depth(self) -> Mapping[str, int]:
        total: Counter[str] = Counter()
        for depth in await self._workers.ask_all("depth"):
            total.update(depth)
        return total

    async def dead_letters(self, limit: int) -> list[Job]:
        return await self._jobs("dead_letters", limit)

    async def delayed_jobs(self, limit: int) -> list[Job]:
        return await self._jobs("delayed_jobs", limit)

    async def requeue(self, job_id: str | None) -> int:
        return await self._number("requeue", id=job_id)

    async def hasten(self, job_id: str) -> int:
        return await self._number("hasten", id=job_id)

    async def forget(self, job_id: str) -> int:
        return await self._number("forget", id=job_id)

    async def purge_dead_letters(self) -> int:
        return await self._number("purge")

    async def _jobs(self, name: str, limit: int) -> list[Job]:
        found = await self._workers.ask_all(name, limit=limit)
        return [Job(**job) for answer in found for job in answer["jobs"]][:limit]

    async def _number(self, name: str, **asked: Any) -> int:
        return sum(answer["number"] for answer in await self._workers.ask_all(name, **asked))
