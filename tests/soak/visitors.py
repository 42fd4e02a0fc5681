"""What clients and back ends do all day, each kind by its name, and what they get wrong.

Each does a number of its own kind, with whole connections of its own, and leaves nothing. Nothing is judged here.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.hostile.attacks import HANDSHAKE, KEY, UNSIGNED, frame, message, publish
from tests.support.engine import APP
from tests.support.signing import channel_auth, compact, signed_query, user_auth

#: What nothing takes as long as, even on a busy machine.
PATIENCE_S = 60.0
#: Channels that one visitor is in at a time.
AT_ONCE = 20
#: Bytes after a good handshake, or instead of one, that nobody sends by mistake.
NONSENSE = [
    frame(b"{"),
    frame(b'{"event":"pusher:subscribe","data":{"channel":"private-x","auth":"app-key:00"}}'),
    frame(b"\xff"),
    frame(b"", 3),
    b"\x81\x05hello",
    b"GET / HTTP/1.1\r\n\r\n",
    UNSIGNED,
    b"POST /apps/1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
]
_numbers = itertools.count()


class Client:
    """One WebSocket client. Frames of the engine have no mask and come whole."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self.socket_id = ""

    async def next(self, event: str) -> dict[str, Any]:
        """The next frame of this event; those before it are forgotten."""
        while True:
            opcode, size = await self._reader.readexactly(2)
            if size == 126:
                size = int.from_bytes(await self._reader.readexactly(2))
            elif size == 127:
                size = int.from_bytes(await self._reader.readexactly(8))
            payload = await self._reader.readexactly(size)
            if opcode != 0x81:
                continue
            told: dict[str, Any] = json.loads(payload)
            if told["event"] == event:
                return told

    async def join(self, channel: str, user_id: str | None = None) -> None:
        data = {"channel": channel}
        if user_id is not None:
            data["channel_data"] = compact({"user_id": user_id, "user_info": {"name": user_id * 3}})
        if channel.startswith(("private-", "presence-")):
            given = APP["key"], APP["secret"], self.socket_id, channel
            data["auth"] = channel_auth(*given, data.get("channel_data"))
        self.writer.write(message("pusher:subscribe", data))
        await self.next("pusher_internal:subscription_succeeded")

    async def pong(self) -> None:
        """Return when all that was sent has been read."""
        self.writer.write(message("pusher:ping", {}))
        await self.next("pusher:pong")


@asynccontextmanager
async def client(port: int) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        made = Client(reader, writer)
        writer.write(HANDSHAKE % KEY)
        await reader.readuntil(b"\r\n\r\n")
        made.socket_id = json.loads((await made.next("pusher:connection_established"))["data"])["socket_id"]
        yield made
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def connect(port: int, count: int) -> None:
    for n in range(count):
        async with client(port) as one:
            if n % 2:
                one.writer.write(frame(b"\x03\xe8", 8))
            elif n % 4:
                one.writer.transport.abort()


async def join(port: int, count: int) -> None:
    """Public, private and presence channels, joined and left."""
    async with client(port) as one:
        for _ in range(0, count, AT_ONCE):
            names = [f"{kind}soak-{next(_numbers)}" for kind in ("", "private-", "cache-")] * AT_ONCE
            for name in dict.fromkeys(names[:AT_ONCE]):
                await one.join(name)
                one.writer.write(message("pusher:unsubscribe", {"channel": name}))
        await one.pong()


async def presence(port: int, count: int) -> None:
    async with client(port) as one, client(port) as other:
        for n in range(count // 2):
            room = f"presence-soak-{n % 7}"
            await one.join(room, f"user-{next(_numbers)}")
            await other.join(room, f"user-{next(_numbers)}")
            for each in (one, other):
                each.writer.write(message("pusher:unsubscribe", {"channel": room}))
        await one.pong()
        await other.pong()


async def sign_in(port: int, count: int) -> None:
    for _ in range(count):
        async with client(port) as one:
            data = compact({"id": f"user-{next(_numbers)}"})
            auth = user_auth(APP["key"], APP["secret"], one.socket_id, data)
            one.writer.write(message("pusher:signin", {"auth": auth, "user_data": data}))
            await one.next("pusher:signin_success")


async def client_event(port: int, count: int) -> None:
    room = f"private-soak-{next(_numbers)}"
    async with client(port) as one, client(port) as other:
        await one.join(room)
        await other.join(room)
        for _ in range(count):
            one.writer.write(message("client-soak", {"n": next(_numbers)}, channel=room))
            await other.next("client-soak")


async def publishes(port: int, count: int) -> None:
    """On one connection, to a client that hears them."""
    room = f"soak-{next(_numbers)}"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with client(port) as one:
            await one.join(room)
            for n in range(count):
                writer.write(publish([room, "cache-soak"] if n % 10 == 0 else [room], str(next(_numbers))))
                await reader.readuntil(b"\r\n\r\n{}")
                await one.next("e")
    finally:
        writer.close()


async def asks(port: int, count: int) -> None:
    """Requests of the other routes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for n in range(count):
            path = f"/apps/{APP['id']}/channels" + ["", f"/soak-{n}", "/presence-soak-1/users"][n % 3]
            query = urllib.parse.urlencode(signed_query(APP["key"], APP["secret"], "GET", path))
            writer.write(f"GET {path}?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            await reader.readexactly(size)
    finally:
        writer.close()


async def nonsense(port: int, count: int) -> None:
    for n in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write((HANDSHAKE % KEY if n % 3 else b"") + NONSENSE[n % len(NONSENSE)] + os.urandom(n % 40))
            writer.write_eof()
            with contextlib.suppress(OSError):
                await reader.read(100)
        finally:
            writer.transport.abort()


#: Webhooks are sent for what comes and goes in channels: two for each join.
KINDS: dict[str, Callable[[int, int], Awaitable[None]]] = {
    "connect": connect,
    "join": join,
    "presence join": presence,
    "sign-in": sign_in,
    "client event": client_event,
    "publish": publishes,
    "request": asks,
    "bad request": nonsense,
}


async def crowd(kind: str, port: int, visitors: int, count: int) -> int:
    """So many visitors of one kind at a time; how many things were done."""
    async with asyncio.timeout(PATIENCE_S * max(5, count // 20)):
        await asyncio.gather(*(KINDS[kind](port, count) for _ in range(visitors)))
    return visitors * count
