"""The console's port: its connections have deadlines that no byte moves, and there are only so many of them.

What a stranger does wrong there is answered, and leaves no line in the log. Never looks into a request.
"""

from __future__ import annotations

import asyncio
import socket

from aiohttp import web

from engine.http.connection import HttpConnections, connection_options
from engine.metrics.metrics import Metrics
from engine.tasks import cancel, spawn

#: For one more, the oldest that asks nothing is ended. There are fewer streams, and a browser has six at most.
MAX_CONNECTIONS = 256
MAX_HEAD_BYTES = 16 * 1024
#: For answers under way when it ends.
SHUTDOWN_TIMEOUT_S = 0.5


class ConsolePort:
    """:param listening: a bound socket; closed by `stop`."""

    def __init__(self, application: web.Application, listening: socket.socket) -> None:
        metrics = Metrics()  # nobody collects what is counted here
        options = connection_options(metrics)
        self._runner = web.AppRunner(application, handle_signals=False, shutdown_timeout=SHUTDOWN_TIMEOUT_S, **options)
        self._connections = HttpConnections(options, MAX_HEAD_BYTES, metrics, max_open=MAX_CONNECTIONS, streams=True)
        self._listening = listening
        self._server: asyncio.Server | None = None
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._connections)

    async def start(self) -> None:
        await self._runner.setup()
        http = self._runner.server
        assert http is not None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: self._connections.make(http), sock=self._listening)
        self._task = spawn(self._sweep(), "console-port")

    async def stop(self) -> None:
        await cancel(self._task)
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()
        self._connections.abort(unread_only=False)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._connections.sweep()
