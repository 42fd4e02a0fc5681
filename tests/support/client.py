"""A WebSocket client that speaks the Pusher protocol, for tests: it hides nothing and keeps every frame.

The WebSocket itself is aiohttp's; real SDKs are driven by `tests/integration`.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.support.signing import channel_auth, compact, user_auth
from tests.support.waiting import PATIENCE_S


class PusherClient:
    """One connection. Frames wait in `frames` until a `next` or `take` asks for them."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse, key: str, secret: str) -> None:
        self.websocket = websocket
        self.key = key
        self.secret = secret
        self.socket_id = ""
        self.frames: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self._changed = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    async def send(self, event: str, data: Any = None, channel: str | None = None) -> None:
        """Send one message; `data` goes out as it is, without double encoding."""
        message = {"event": event, "data": data} | ({} if channel is None else {"channel": channel})
        await self.send_text(compact(message))

    async def send_text(self, text: str) -> None:
        await self.websocket.send_str(text)

    async def next(self, event: str, channel: str | None = None, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """Take the oldest frame with this event name (and channel), waiting for it; others stay where they are."""
        return await self.take(
            lambda f: f["event"] == event and (channel is None or f.get("channel") == channel), timeout_s, event
        )

    async def take(
        self, wanted: Callable[[dict[str, Any]], bool], timeout_s: float = PATIENCE_S, what: str = "frame"
    ) -> dict[str, Any]:
        """Take the oldest frame that is `wanted`."""
        end = asyncio.get_running_loop().time() + timeout_s
        while True:
            for frame in self.frames:
                if wanted(frame):
                    self.frames.remove(frame)
                    return frame
            if self.close_code is not None:
                raise AssertionError(f"closed with {self.close_code} while waiting for {what}; left: {self.frames}")
            self._changed.clear()
            try:
                async with asyncio.timeout_at(end):
                    await self._changed.wait()
            except TimeoutError:
                raise AssertionError(f"no {what} within {timeout_s:g} s; left: {self.frames}") from None

    async def settle(self) -> list[dict[str, Any]]:
        """Ping, wait for the answer, and return (and forget) all frames that came before it."""
        await self.send("pusher:ping", {})
        await self.next("pusher:pong")
        frames, self.frames = self.frames, []
        return frames

    async def subscribe(
        self, channel: str, user_id: Any = None, user_info: Any = None, auth: str | None = None
    ) -> dict[str, Any]:
        """Subscribe, signed as the channel's name demands, and return the subscription_succeeded frame."""
        await self.send("pusher:subscribe", self.subscription(channel, user_id, user_info, auth))
        return await self.next("pusher_internal:subscription_succeeded", channel)

    def subscription(
        self, channel: str, user_id: Any = None, user_info: Any = None, auth: str | None = None
    ) -> dict[str, str]:
        """`data` of a subscribe message."""
        data = {"channel": channel}
        channel_data = None
        if user_id is not None:
            member = {"user_id": user_id} | ({} if user_info is None else {"user_info": user_info})
            channel_data = data["channel_data"] = compact(member)
        if auth is not None:
            data["auth"] = auth
        elif channel.startswith(("private-", "presence-")):
            data["auth"] = channel_auth(self.key, self.secret, self.socket_id, channel, channel_data)
        return data

    async def unsubscribe(self, channel: str) -> None:
        await self.send("pusher:unsubscribe", {"channel": channel})

    async def signin(self, user_id: str, **more: Any) -> dict[str, Any]:
        """Sign in and return the signin_success frame. `more`: ``user_info``, ``watchlist``."""
        user_data = compact({"id": user_id, **more})
        auth = user_auth(self.key, self.secret, self.socket_id, user_data)
        await self.send("pusher:signin", {"auth": auth, "user_data": user_data})
        return await self.next("pusher:signin_success")

    async def wait_closed(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait until the server has closed; returns the close code (1006: without a close frame)."""
        async with asyncio.timeout(timeout_s):
            await asyncio.shield(self._reader)
        assert self.close_code is not None
        return self.close_code

    async def close(self) -> None:
        """Close as a browser does when its page goes away."""
        await self.websocket.close()
        await self._reader

    def abort(self) -> None:
        """Vanish without a close frame."""
        connection = self.websocket._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()

    @property
    def local_port(self) -> int:
        """Our end of the connection, by which `Engine.worker_of` finds the other."""
        return int(self.websocket.get_extra_info("sockname")[1])

    async def _read(self) -> None:
        try:
            async for message in self.websocket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self.frames.append(json.loads(message.data))
                    self._changed.set()
        finally:
            self.close_code = self.websocket.close_code or 1006
            self._changed.set()


@asynccontextmanager
async def connected(
    url: str,
    key: str = "app-key",
    secret: str = "app-secret",
    *,
    query: str = "protocol=7&client=js&version=8.6.0&flash=false",
    wait: bool = True,
    headers: dict[str, str] | None = None,
    ssl_context: ssl.SSLContext | None = None,
    local_address: str | None = None,
) -> AsyncIterator[PusherClient]:
    """Connect to ``{url}/app/{key}``; with `wait`, up to the first frame, which fills `socket_id`.

    :param url: ``ws://host:port`` with a path prefix if there is one.
    :param local_address: that it comes from; any of 127.0.0.0/8 will do.
    """
    connector = None if local_address is None else aiohttp.TCPConnector(local_addr=(local_address, 0))
    async with aiohttp.ClientSession(connector=connector) as session:
        websocket = await session.ws_connect(
            f"{url}/app/{key}?{query}", headers=headers, ssl=ssl_context or True, autoclose=True
        )
        client = PusherClient(websocket, key, secret)
        connection = websocket._response.connection
        assert connection is not None
        transport = connection.transport
        assert transport is not None
        try:
            if wait:
                established = await client.next("pusher:connection_established")
                client.socket_id = json.loads(established["data"])["socket_id"]
            yield client
        finally:
            await client.close()
            # Under TLS the last bytes may be on their way still when the test, and with it the loop, has ended.
            transport.abort()
