"""Those who look on while something is broken: clients that listen and ping, and a publisher of numbered events.

A listener whose connection is lost comes again; each connection is judged by itself. Breaks nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from typing import Any

import aiohttp
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from tests.chaos.cluster import WATCHED
from tests.chaos.node import Node
from tests.faults.numbers import Sent, Session
from tests.support.signing import compact, signed_query
from tests.support.waiting import until

EARS_EACH = 4
PING_EVERY_S, PUBLISH_EVERY_S, AGAIN_S = 0.1, 0.05, 0.5
CONNECT_TIMEOUT_S = REQUEST_TIMEOUT_S = 5.0
#: For the last numbers to come.
END_S = 20.0


class Ear(WSListener):
    """One connection. :ivar waits: (when a ping was sent, seconds until its pong)."""

    def __init__(self, channels: Sequence[str]) -> None:
        self.session = Session()
        self.waits: list[tuple[float, float]] = []
        self.pid = 0
        self.gone = asyncio.Event()
        self._channels = channels
        self._pinged: float | None = None
        self._transport: WSTransport | None = None

    @property
    def local_port(self) -> int:
        assert self._transport is not None
        return int(self._transport.underlying_transport.get_extra_info("sockname")[1])

    @property
    def listening(self) -> bool:
        return self.session.since.keys() == set(self._channels) and not self.session.ended

    def ping(self) -> None:
        if self._pinged is None and self._transport is not None:
            self._pinged = time.monotonic()
            self._send("pusher:ping", {})

    def close(self) -> None:
        if self._pinged is not None and not self.session.ended:
            self.waits.append((self._pinged, time.monotonic() - self._pinged))
        if self._transport is not None:
            self._transport.underlying_transport.abort()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self.session.ended = True
        self.gone.set()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        elif frame.msg_type == WSMsgType.TEXT:
            self._on_message(json.loads(frame.get_payload_as_bytes()))

    def _on_message(self, message: dict[str, Any]) -> None:
        match message["event"]:
            case "pusher:connection_established":
                for channel in self._channels:
                    self._send("pusher:subscribe", {"channel": channel})
            case "pusher_internal:subscription_succeeded":
                self.session.since[message["channel"]] = time.monotonic()
            case "pusher:pong" if self._pinged is not None:
                self.waits.append((self._pinged, time.monotonic() - self._pinged))
                self._pinged = None
            case "number":
                self.session.heard.setdefault(message["channel"], []).append(int(message["data"]))

    def _send(self, event: str, data: dict[str, str]) -> None:
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, compact({"event": event, "data": data}).encode())


class Watch:
    """:ivar refused: publishes that were answered with an error, or not at all."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._channels = {node.name: f"numbers-{node.name}" for node in nodes}
        self._tasks: list[asyncio.Task[None]] = []
        self._publishing: list[asyncio.Task[None]] = []
        self._stopping = False
        self.ears: list[Ear] = []
        self.sent: list[Sent] = []
        self.refused = 0

    async def start(self) -> None:
        for node in self._nodes:
            self._tasks += [asyncio.create_task(self._listen(node)) for _ in range(EARS_EACH)]
        self._tasks.append(asyncio.create_task(self._ping()))
        await until(lambda: sum(ear.listening for ear in self.ears) == EARS_EACH * len(self._nodes))
        self._publishing = [asyncio.create_task(self._publish(node)) for node in self._nodes]

    async def stop(self) -> None:
        """Publish no more, and wait for what is under way."""
        self._stopping = True
        await asyncio.gather(*self._publishing)
        newest = {event.channel: event.number for event in self.sent}
        end = time.monotonic() + END_S
        while time.monotonic() < end and not all(self._has(ear, newest) for ear in self.ears if ear.listening):
            await asyncio.sleep(0.1)
        for task in self._tasks:
            task.cancel()
        for ear in self.ears:
            ended = ear.session.ended
            ear.close()
            ear.session.ended = ended

    def waits(self, since: float, until: float, victims: set[int]) -> list[float]:
        """Seconds until pongs of those whose worker nobody has harmed."""
        return [
            wait for ear in self.ears if ear.pid not in victims for sent, wait in ear.waits if since <= sent < until
        ]

    @staticmethod
    def _has(ear: Ear, newest: dict[str, int]) -> bool:
        return all(ear.session.heard.get(channel, [0])[-1] >= number for channel, number in newest.items())

    async def _listen(self, node: Node) -> None:
        while True:
            ear = Ear(list(self._channels.values()))
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    url = f"{node.engine.ws_url}/app/{WATCHED['key']}?protocol=7&client=js&version=8.6.0"
                    await ws_connect(lambda ear=ear: ear, url, use_aiofastnet=False)  # type: ignore[misc]
            except (OSError, TimeoutError, WSError):
                ear.close()
                await asyncio.sleep(AGAIN_S)
                continue
            self.ears.append(ear)
            try:
                ear.pid = await asyncio.to_thread(node.engine.worker_of, ear.local_port)
            except (AssertionError, OSError):
                ear.close()
            await ear.gone.wait()
            await asyncio.sleep(AGAIN_S)

    async def _ping(self) -> None:
        while True:
            for ear in self.ears:
                ear.ping()
            await asyncio.sleep(PING_EVERY_S)

    async def _publish(self, node: Node) -> None:
        channel, path = self._channels[node.name], f"/apps/{WATCHED['id']}/events"
        timeout = aiohttp.ClientTimeout(REQUEST_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for number in itertools.count(1):
                if self._stopping:
                    return
                body = json.dumps({"name": "number", "channel": channel, "data": str(number)}).encode()
                query = signed_query(WATCHED["key"], WATCHED["secret"], "POST", path, body)
                began = time.monotonic()
                try:
                    async with session.post(f"{node.engine.http_url}{path}", params=query, data=body) as answer:
                        accepted = answer.status == 200
                except (aiohttp.ClientError, OSError, TimeoutError):
                    accepted = False
                if accepted:
                    self.sent.append(Sent(channel, number, began, time.monotonic()))
                else:
                    self.refused += 1
                await asyncio.sleep(PUBLISH_EVERY_S)
