"""Clients without a library that are cut off: they come back sooner than pusher-js, which waits a second."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import aiohttp

from tests.returns.diary import note
from tests.support.signing import channel_auth

#: What a client gives a node for its answer. On a busy machine that has just lost a worker it takes a while.
PATIENCE_S = 20.0


class RawClient:
    """:param urls: of the nodes; each connection goes to any of them.
    :param long: the part of cuts that takes 5 to 30 s.
    """

    def __init__(
        self, session: aiohttp.ClientSession, urls: list[str], key: str, secret: str, channel: str, long: float
    ) -> None:
        self._session = session
        self._urls = urls
        self._key, self._secret = key, secret
        self._channel = channel
        self._long = long
        self._at_ms = 0
        self.last = -1
        self.diary: list[list[Any]] = []

    async def run(self, over: asyncio.Event) -> None:
        """Come, be cut off and come back until it is over; then stay until cancelled."""
        while True:
            try:
                async with self._session.ws_connect(random.choice(self._urls), autoping=True) as socket:
                    await self._follow(socket, over)
                    # Cut off: no close frame, no FIN.
                    connection = socket._response.connection
                    if connection is not None and connection.transport is not None:
                        connection.transport.abort()
            except (aiohttp.ClientError, OSError, TimeoutError):
                await asyncio.sleep(0.1)
                continue
            await asyncio.sleep(random.uniform(5, 30) if random.random() < self._long else random.uniform(0.1, 1))

    async def _follow(self, socket: aiohttp.ClientWebSocketResponse, over: asyncio.Event) -> None:
        """Until the time of this connection is over, or the node ends it."""
        loop = asyncio.get_running_loop()
        before, until_s = self.last, None
        while True:
            message = await socket.receive(PATIENCE_S)
            if message.type is not aiohttp.WSMsgType.TEXT:
                return
            await self._hear(socket, json.loads(message.data))
            if self.last > before and until_s is None:
                until_s = loop.time() + random.uniform(0, 0.3)
            if until_s is not None and loop.time() >= until_s and not over.is_set():
                return

    async def _hear(self, socket: aiohttp.ClientWebSocketResponse, frame: dict[str, Any]) -> None:
        match frame["event"]:
            case "pusher:connection_established":
                given = json.dumps({"replay": {"time_ms": self._at_ms}} if self._at_ms else {})
                auth = channel_auth(
                    self._key, self._secret, json.loads(frame["data"])["socket_id"], self._channel, given
                )
                data = {"channel": self._channel, "auth": auth, "channel_data": given}
                await socket.send_json({"event": "pusher:subscribe", "data": data})
            case "pusher:ping":
                await socket.send_json({"event": "pusher:pong", "data": {}})
            case "pusher_internal:subscription_succeeded":
                self.diary.append(["back"])
            case "pusher:history_gap":
                self.diary.append(["gap", json.loads(frame["data"])["reason"]])
            case "e":
                event = json.loads(frame["data"])
                note(self.diary, event["id"])
                if event["id"] > self.last:
                    self.last, self._at_ms = event["id"], event["at"]
            case other:
                raise AssertionError(f"{other}: {frame}")
