"""Workers of this node, asked for what nobody else knows.

One that does not answer is passed over; a question that changes something is put to one worker only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson

from engine.control import CONSOLE_SOCKETS
from engine.errors import ApiError, StoreUnavailable
from engine.interfaces import ChannelsPage, MembersPage
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
        line = orjson.dumps({"ask": name, **asked}) + b"\n"
        for path in self.sockets:
            try:
                async with within(CONNECT_TIMEOUT_S):
                    reader, writer = await asyncio.open_unix_connection(str(path), limit=MAX_LINE_BYTES)
            except (OSError, TimeoutError):
                continue
            try:
                async with within(TIMEOUT_S):
                    writer.write(line)
                    found = orjson.loads(await reader.readuntil(b"\n"))
            except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError):
                if changes:
                    raise StoreUnavailable("the worker that was asked has not answered; it may be done") from None
                continue
            finally:
                writer.close()
            if "answer" in found:
                return dict(found["answer"])
            if found["status"] == HTTPStatus.SERVICE_UNAVAILABLE:
                raise StoreUnavailable(str(found["error"]))
            raise ApiError(HTTPStatus(found["status"]), "refused", str(found["error"]))
        raise StoreUnavailable("no worker answers")


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
