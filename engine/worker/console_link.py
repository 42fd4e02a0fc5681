"""What a worker does for the console: it is asked over a Unix socket of its own, one JSON line for each question.

Only where there is a console, and only the user who runs the engine can reach it. It answers what nobody else knows;
until somebody asks, it costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson

from engine.errors import ApiError, EngineError
from engine.tap.tap import Tap, Watcher
from engine.tasks import within

#: Of one question, which may carry an event.
MAX_LINE_BYTES = 4 * 1024 * 1024
#: For one answer, and for the console to take it.
TIMEOUT_S = 10.0

#: The question whose answer goes on.
TAP = "tap"
MAX_WATCHERS = 16

Call = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

_log = logging.getLogger(__name__)


class ConsoleLink:
    """:param path: of the socket. :param calls: what can be asked, by name.
    :param tap: what happens here, for who asks for `tap`.
    """

    def __init__(self, path: Path, calls: dict[str, Call], tap: Tap) -> None:
        self._tap = tap
        self._watched = 0
        self._path = path
        self._calls = calls
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """A path that cannot be had takes the console something away, and nobody else."""
        try:
            self._path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=MAX_LINE_BYTES)
        except OSError as error:
            _log.warning("the console cannot ask this worker: %s: %s", self._path, error.strerror)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection is one question."""
        self._open.add(writer)
        try:
            async with within(TIMEOUT_S):
                asked = orjson.loads(await reader.readuntil(b"\n"))
                if asked["ask"] != TAP:
                    return await self._answer(asked, writer)
            await self._show(Watcher(str(asked["app"])), reader, writer)
        except (OSError, EOFError, TimeoutError, ValueError, TypeError, KeyError, asyncio.LimitOverrunError):
            _log.debug("the console has gone, or says what it never does")
        finally:
            self._open.discard(writer)
            writer.close()

    async def _show(self, watcher: Watcher, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Tell the console what happens, a JSON list in each line, until it goes."""
        if self._watched >= MAX_WATCHERS:
            return
        self._watched += 1
        self._tap.open(watcher)
        gone = asyncio.ensure_future(reader.read(1))
        try:
            # From here on it is told.
            writer.write(b"[]\n")
            while not gone.done():
                some = asyncio.ensure_future(watcher.take())
                await asyncio.wait([gone, some], return_when=asyncio.FIRST_COMPLETED)
                if not some.done():
                    some.cancel()
                    return
                writer.write(orjson.dumps(some.result(), option=orjson.OPT_NON_STR_KEYS) + b"\n")
                async with within(TIMEOUT_S):
                    await writer.drain()
        finally:
            self._watched -= 1
            self._tap.close(watcher)
            gone.cancel()

    async def _answer(self, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        try:
            found: dict[str, Any] = {"answer": await self._calls[asked["ask"]](asked)}
        except ApiError as error:
            found = {"status": error.status, "error": error.message}
        except EngineError as error:
            found = {"status": HTTPStatus.SERVICE_UNAVAILABLE, "error": str(error)}
        except Exception:  # noqa: BLE001 (whatever it is, it is logged and ends this question only)
            _log.exception("a question of the console failed")
            found = {"status": HTTPStatus.INTERNAL_SERVER_ERROR, "error": "an error of the worker's; its log says more"}
        writer.write(orjson.dumps(found) + b"\n")
        with contextlib.suppress(ConnectionError):
            await writer.drain()
