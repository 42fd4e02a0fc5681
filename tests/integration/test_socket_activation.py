"""Listening sockets that are the service manager's (sd_listen_fds(3)): the port is open while the engine is not."""

from __future__ import annotations

import asyncio
import socket

from tests.support.client import connected
from tests.support.engine import all_serve, is_ready, launch, running
from tests.support.waiting import free_port, wait_until

WORKERS = 2


async def test_who_comes_between_two_engines_is_served_by_the_next() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listening:
        port = listening.getsockname()[1]
        # The port of the configuration is another one, which nobody is to open.
        with running({"port": port, "host": "192.0.2.1"}, WORKERS, listening=listening) as engine:
            await asyncio.to_thread(wait_until, lambda: all_serve(engine))
            async with connected(engine.ws_url) as client:
                await client.subscribe("room")
                done = await asyncio.to_thread(engine.command, "restart")
                assert done.returncode == 0, done.stdout + done.stderr
                assert await client.wait_closed() == 4200
            async with connected(engine.ws_url) as client:
                assert await asyncio.to_thread(engine.terminate) == 0, engine.log()
                assert await client.wait_closed() == 4100
            with socket.create_connection(("127.0.0.1", port), timeout=60) as waiting:
                waiting.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                engine.process = launch(engine.folder, 1, listening=listening)
                assert (await asyncio.to_thread(waiting.recv, 64)).startswith(b"HTTP/1.1 200")
            await asyncio.to_thread(wait_until, lambda: is_ready(engine))
            async with connected(engine.ws_url) as client:
                await client.subscribe("room")
                await asyncio.to_thread(engine.trigger, "room", "e")
                await client.next("e")
