"""A plain Pusher-like server on asyncio and `websockets`, to measure against: public channels and POST events.

    python benchmarks/peers/websockets_server.py PORT PUBLISH_PORT

It does what a careful afternoon's work would do: checks the signature and the body's digest, builds the event's text
once, and hands it to the library's own `broadcast`. `websockets` takes no POST, so publishing has a port of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import sys
from urllib.parse import parse_qsl

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

SECRET = b"app-secret"
PATH = "/apps/app-id/events"

channels: dict[str, set[ServerConnection]] = {}


async def client(connection: ServerConnection) -> None:
    """One WebSocket, from its greeting to its end."""
    mine: set[str] = set()
    socket_id = f"{secrets.randbelow(10**10)}.{secrets.randbelow(10**10)}"
    greeting = json.dumps({"socket_id": socket_id, "activity_timeout": 120})
    try:
        await connection.send(json.dumps({"event": "pusher:connection_established", "data": greeting}))
        async for text in connection:
            message = json.loads(text)
            if message["event"] == "pusher:subscribe":
                channel = message["data"]["channel"]
                channels.setdefault(channel, set()).add(connection)
                mine.add(channel)
                answer = {"event": "pusher_internal:subscription_succeeded", "channel": channel, "data": "{}"}
                await connection.send(json.dumps(answer))
            elif message["event"] == "pusher:ping":
                await connection.send('{"event":"pusher:pong","data":"{}"}')
    except ConnectionClosed:
        pass
    finally:
        for channel in mine:
            channels[channel].discard(connection)


async def back_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One keep-alive connection of a back end."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            request, *lines = head.split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            status = publish(request.split(" ")[1], body)
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}".encode()
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def publish(target: str, body: bytes) -> str:
    """Check one publish and send its event; the status."""
    path, _, query = target.partition("?")
    pairs = dict(parse_qsl(query))
    signature = pairs.pop("auth_signature", "")
    text = f"POST\n{path}\n" + "&".join(f"{key}={pairs[key]}" for key in sorted(pairs))
    wanted = hmac.digest(SECRET, text.encode(), "sha256").hex()
    if path != PATH or not hmac.compare_digest(signature, wanted):
        return "401 Unauthorized"
    if pairs.get("body_md5") != hashlib.md5(body).hexdigest():
        return "401 Unauthorized"
    event = json.loads(body)
    for channel in event.get("channels") or [event["channel"]]:
        message = json.dumps({"event": event["name"], "channel": channel, "data": event["data"]})
        broadcast(channels.get(channel, ()), message)
    return "200 OK"


async def main(port: int, publish_port: int) -> None:
    # Without compression, which costs the server more than anything else and which browsers would ask for.
    back_ends = await asyncio.start_server(back_end, "127.0.0.1", publish_port)
    async with serve(client, "127.0.0.1", port, compression=None, backlog=4096), back_ends:
        await back_ends.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
