"""What the log says of clients and back ends: the classic mistakes with their remedy, everything with `--debug`."""

from __future__ import annotations

import asyncio
import json
import socket
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.client import connected
from tests.support.engine import APP, Engine, running
from tests.support.signing import signed_query
from tests.support.waiting import wait_until

SECRETS = (APP["secret"], "a-wrong-secret", "private payload")


@pytest.fixture(scope="module")
def talkative() -> Iterator[Engine]:
    config = {
        "debug": True,
        "logging": {"output_format": "json"},
        "app_manager": {
            "array": {"apps": [APP | {"enable_client_messages": False, "allowed_origins": ["*.here.example"]}]}
        },
    }
    with running(config, 1) as engine:
        yield engine
        assert not [secret for secret in SECRETS if secret in engine.log()]


def lines(engine: Engine, level: str) -> list[str]:
    found = []
    for line in engine.log().splitlines():
        record: dict[str, Any] = json.loads(line)
        if record["level"] == level:
            found.append(record["message"])
    return found


def signed(engine: Engine, secret: str, when_s: float) -> None:
    body = json.dumps({"name": "e", "channel": "c", "data": "private payload"}).encode()
    query = signed_query(APP["key"], secret, "POST", f"/apps/{APP['id']}/events", body, timestamp=int(when_s))
    engine.raw("POST", f"/apps/{APP['id']}/events?{urllib.parse.urlencode(query)}", body)


async def mistakes(engine: Engine) -> None:
    here = {"Origin": "https://a.here.example"}
    async with connected(engine.ws_url, "nobodys-key", wait=False) as client:
        await client.wait_closed()
    async with connected(engine.ws_url, headers={"Origin": "https://evil.example"}, wait=False) as client:
        await client.wait_closed()
    async with connected(engine.ws_url, headers=here) as client:
        for key in ("other-key", APP["key"]):
            auth = f"{key}:{'0' * 64}"
            await client.send(
                "pusher:subscribe", {"channel": "private-room", "auth": auth, "channel_data": "private payload"}
            )
            await client.next("pusher:subscription_error")
        await client.subscribe("private-room")
        await client.send("client-typing", "private payload", "private-room")
        await client.next("pusher:error")


def tls(engine: Engine) -> bytes:
    with socket.create_connection(("127.0.0.1", engine.port)) as client:
        client.sendall(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
        return client.recv(100)


def test_each_classic_mistake_is_told_once_with_its_remedy(talkative: Engine) -> None:
    for _ in range(3):
        asyncio.run(mistakes(talkative))
        assert b" 400 Bad Request" in tls(talkative)
        signed(talkative, "a-wrong-secret", time.time())
        signed(talkative, APP["secret"], time.time() - 3600)
        talkative.raw("POST", "/apps/nobodys-id/events", b"{}")
    app = f"app {APP['id']}: "
    expected = [
        "app (unknown): a client was refused: App key nobodys-key does not exist. `python -m engine apps` shows",
        f"{app}a client was refused: Origin not allowed. It was https://evil.example. `allowed_origins`",
        f"{app}a client was refused: Invalid key in subscription auth data. The endpoint that authorises clients signs",
        f"{app}a client was refused: Invalid signature. The endpoint that authorises clients signs with another secret",
        f"{app}a client was refused: The app does not have client messaging enabled. `enable_client_messages`",
        "a client speaks TLS to this port, which has none: configure `ssl`",
        f"{app}a request was refused: Invalid signature. The back end signs with another secret",
        f"{app}a request was refused: Timestamp expired. The clocks of the back end",
        "app (unknown): a request was refused: The app nobodys-id could not be found. `python -m engine apps` shows",
    ]

    def told() -> list[list[str]]:
        said = lines(talkative, "INFO")
        return [[line for line in said if line.startswith(start)] for start in expected]

    wait_until(lambda: all(told()), what=talkative.log)
    assert [len(each) for each in told()] == [1] * len(expected), told()


def test_every_line_is_an_object(talkative: Engine) -> None:
    for line in talkative.log().splitlines():
        assert json.loads(line).keys() >= {"time", "level", "worker", "target", "message"}
    assert any(line.startswith("engine listens on ") for line in lines(talkative, "INFO"))


def test_everything_is_a_line_with_debug(talkative: Engine) -> None:
    async def scenario() -> str:
        async with connected(talkative.ws_url, headers={"Origin": "https://a.here.example"}) as client:
            await client.subscribe("room")
            await asyncio.to_thread(talkative.trigger, ["room"], "greeting", "private payload")
            await client.next("greeting")
            await client.unsubscribe("room")
            return client.socket_id

    socket_id = asyncio.run(scenario())
    app = f"app {APP['id']}: "
    expected = [
        f"{app}socket {socket_id} connects from 127.0.0.1",
        f"{app}socket {socket_id} is in room",
        f"{app}greeting is published to ('room',)",
        f"{app}socket {socket_id} has left room",
        f"{app}socket {socket_id} ends",
    ]
    wait_until(lambda: any(line.startswith(expected[-1]) for line in lines(talkative, "DEBUG")), what=talkative.log)
    said = lines(talkative, "DEBUG")
    assert [start for start in expected if not any(line.startswith(start) for line in said)] == []
