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
from engine.tasks import within

#: Of one question, which may carry an event.
MAX_LINE_BYTES = 4 * 1024 * 1024
#: For one answer, and for the console to take it.
TIMEOUT_S = 10.0

Call = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

_log = logging.getLogger(__name__)


class ConsoleLink:
    """:param path: of the socket. :param calls: what can be asked, by name."""

    def __init__(self, path: Path, calls: dict[str, Call]) -> None:
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
                await self._answer(asked, writer)
        except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError):
            _log.debug("the console has gone, or says what it never does")
        finally:
            self._open.discard(writer)
            writer.close()

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
