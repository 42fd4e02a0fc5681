"""Connections that say nothing to a running engine: who is pinged how, and who must have authorised itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.integration.conftest import HEX_APP
from tests.support.client import PusherClient, connected
from tests.support.engine import APP, Engine, running

#: Seconds, both for silence and for authorisation.
LIMIT_S = 1
PUSHER_PING, PING = b'"pusher:ping"', b"\x89\x00"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    apps = [APP | {"enable_user_authentication": False}, HEX_APP | {"enable_user_authentication": True}]
    limits = {"activity_timeout": LIMIT_S, "user_authentication_timeout": LIMIT_S}
    with running({**limits, "app_manager": {"array": {"apps": apps}}}) as started:
        yield started


async def test_pages_are_pinged_by_message_only(engine: Engine) -> None:
    async def heard(origin: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
        writer.write(
            f"GET /app/{APP['key']} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{origin}"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        async with asyncio.timeout(20):
            data = await reader.readuntil(PUSHER_PING)
            # Its end, and what was written in one piece with it.
            data += await reader.read(1000)
        writer.close()
        return data

    page, other = await asyncio.gather(heard("Origin: https://a.example\r\n"), heard(""))
    assert (page.endswith(PING), other.endswith(PING)) == (False, True)


async def test_the_first_authorised_join_or_sign_in_ends_the_wait(engine: Engine) -> None:
    """However much is left again before the time is up (U-7)."""
    url, *app = engine.ws_url, HEX_APP["key"], HEX_APP["secret"]
    async with connected(url, *app) as joined, connected(url, *app) as signed, connected(url, *app) as idle:
        await joined.subscribe("private-order")
        await joined.unsubscribe("private-order")
        await joined.subscribe("news")
        await signed.signin("ada")
        await idle.subscribe("news")
        assert await idle.wait_closed() == 4009
        for client in (joined, signed):
            await _still_there(client)


async def _still_there(client: PusherClient) -> None:
    await client.settle()
    assert client.close_code is None
