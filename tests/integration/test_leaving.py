"""Clients that stay when they were told to go: they are nobody's members from that moment, and take nobody's place."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests._fast.pair import masked
from tests.support.client import connected
from tests.support.engine import APP, Engine, running
from tests.support.signing import channel_auth, compact, user_auth

HEAD = (
    "GET /app/{} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PLACES = 3


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    config = {"app_manager": {"array": {"apps": [APP | {"enable_user_authentication": True}]}}}
    with running({**config, "max_connections": PLACES}) as started:
        yield started


class Staying:
    """A client that answers nothing, not even a close frame."""

    def __init__(self, engine: Engine, key: str = APP["key"]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", engine.port), timeout=10)
        self.socket.sendall(HEAD.format(key).encode())
        self._data = b""
        self.until(b"\r\n\r\n")

    def until(self, wanted: bytes) -> bytes:
        """All that has come, once that is among it."""
        while wanted not in self._data:
            part = self.socket.recv(65536)
            assert part, self._data
            self._data += part
        return self._data

    def send(self, event: str, data: object) -> None:
        self.socket.sendall(masked(0x81, compact({"event": event, "data": data}).encode()))


async def test_members_are_gone_when_they_are_terminated(engine: Engine, unique: Callable[[str], str]) -> None:
    channel, user = unique("presence-room"), unique("ghost")
    async with connected(engine.ws_url) as other:
        await other.subscribe(channel, "other")
        ghost = await asyncio.to_thread(Staying, engine)
        with ghost.socket:
            established = ghost.until(b"activity_timeout").decode("utf-8", "replace")
            socket_id = established.partition('socket_id\\":\\"')[2].partition("\\")[0]
            user_data = compact({"id": user})
            ghost.send(
                "pusher:signin",
                {"user_data": user_data, "auth": user_auth(APP["key"], APP["secret"], socket_id, user_data)},
            )
            await asyncio.to_thread(ghost.until, b"signin_success")
            channel_data = compact({"user_id": user})
            auth = channel_auth(APP["key"], APP["secret"], socket_id, channel, channel_data)
            ghost.send("pusher:subscribe", {"channel": channel, "auth": auth, "channel_data": channel_data})
            await other.next("pusher_internal:member_added", channel)
            answer = await asyncio.to_thread(engine.request, "POST", f"/users/{user}/terminate_connections", {})
            assert answer.status == 200
            removed = await other.next("pusher_internal:member_removed", channel)
            assert json.loads(removed["data"])["user_id"] == user
            # It goes on as if nothing had been said, and is not heard any more.
            ghost.send("pusher:subscribe", {"channel": channel, "auth": auth, "channel_data": channel_data})
            ghost.send("pusher:ping", {})
            assert (await asyncio.to_thread(engine.request, "GET", f"/channels/{channel}/users")).json == {
                "users": [{"id": "other"}]
            }
            assert await other.settle() == []


async def test_the_refused_take_no_places(engine: Engine) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            refused = Staying(engine, "nobody")
            stack.enter_context(refused.socket)
            refused.until(b"4001")
        async with connected(engine.ws_url), connected(engine.ws_url), connected(engine.ws_url):
            for _ in range(20):
                late = await asyncio.to_thread(Staying, engine)
                stack.enter_context(late.socket)
                late.until(b"4100")
        async with connected(engine.ws_url) as client:
            await client.subscribe("room")
