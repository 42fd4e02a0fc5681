"""`python -m tests.hostile.senders ATTACK PORT COUNT SECONDS`: so many hostile clients in a process of their own.

Prints how many bytes went out, and how many connections that took.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time

import uvloop

from tests.hostile.attacks import ATTACKS, HANDSHAKE, KEY, Attack

#: Who cannot connect or send for so long begins anew.
PATIENCE_S = 5.0
READ_AT_ONCE = 1 << 18


class Sender:
    """:ivar sent: bytes that went out or wait here. :ivar connections: begun."""

    def __init__(self, attack: Attack, port: int) -> None:
        self._attack, self._port = attack, port
        self.sent = self.connections = 0

    async def run(self, until_s: float) -> None:
        while time.monotonic() < until_s:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
                async with asyncio.timeout(max(0.01, until_s - time.monotonic())):
                    await self._once()

    async def _once(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.connections += 1
        reading: asyncio.Task[None] | None = None
        try:
            socket_id = await self._shake_hands(reader, writer) if self._attack.is_client else ""
            if self._attack.reads:
                reading = asyncio.create_task(_swallow(reader, writer))
            self._write(writer, self._attack.first(socket_id))
            if self._attack.comes_again:
                await asyncio.sleep(0)
                return
            while not writer.is_closing():
                self._write(writer, self._attack.goes_on())
                await writer.drain()
                await asyncio.sleep(self._attack.pause_s)
        finally:
            if reading is not None:
                reading.cancel()
            writer.transport.abort()

    async def _shake_hands(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        async with asyncio.timeout(PATIENCE_S):
            writer.write(HANDSHAKE % KEY)
            await reader.readuntil(b"\r\n\r\n")
            size = (await reader.readexactly(2))[1]
            if size == 126:
                size = int.from_bytes(await reader.readexactly(2))
            first = json.loads(await reader.readexactly(size))
        socket_id: str = json.loads(first["data"])["socket_id"]
        return socket_id

    def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        self.sent += len(data)


async def _swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(READ_AT_ONCE):
            pass
    writer.transport.abort()


async def main(name: str, port: int, count: int, seconds: float) -> None:
    until_s = time.monotonic() + seconds
    senders = [Sender(ATTACKS[name], port) for _ in range(count)]
    await asyncio.gather(*(sender.run(until_s) for sender in senders))
    print(json.dumps([sum(sender.sent for sender in senders), sum(sender.connections for sender in senders)]))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
