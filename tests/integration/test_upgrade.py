"""The door: every spelling of a WebSocket upgrade that real clients and proxies send, with and without TLS."""

from __future__ import annotations

import asyncio
import http.client
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.integration.conftest import shared_config
from tests.support.client import connected
from tests.support.engine import Engine, running
from tests.support.receiver import WebhookReceiver

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
#: What RFC 6455 says must be answered to that key.
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    "headers",
    [
        {"Connection": "Upgrade", "Upgrade": "websocket"},
        {"Connection": "keep-alive, Upgrade", "Upgrade": "websocket"},
        {"Connection": "Upgrade, keep-alive", "Upgrade": "WebSocket"},
        {"connection": "keep-alive,upgrade", "upgrade": "websocket"},
        {"CONNECTION": "UPGRADE", "UPGRADE": "WEBSOCKET"},
    ],
    ids=lambda headers: ",".join(headers.values()),
)
def test_spellings(engine: Engine, headers: dict[str, str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=10)
    try:
        _upgrade(connection, headers)
    finally:
        connection.close()


@pytest.mark.parametrize("before", ["/ready", "/nonsense", "/apps/1/channels"])
def test_upgrade_on_a_connection_that_was_used_before(engine: Engine, before: str) -> None:
    """Pooling proxies do this: requests first, and then an upgrade on the same connection."""
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=10)
    try:
        for _ in range(3):
            connection.request("GET", before)
            connection.getresponse().read()
            assert connection.sock is not None, "the connection is kept"
        _upgrade(connection, {"Connection": "keep-alive, Upgrade", "Upgrade": "websocket"})
    finally:
        connection.close()


def test_header_in_pieces(engine: Engine) -> None:
    """Bytes may come one by one."""
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=10)
    try:
        connection.connect()
        sock = connection.sock
        assert sock is not None
        lines = "GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        for byte in f"{lines}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n".encode():
            sock.sendall(bytes([byte]))
        answer = b""
        while b"connection_established" not in answer:
            part = sock.recv(65536)
            assert part, answer
            answer += part
    finally:
        connection.close()


async def test_subprotocols_and_compression_may_be_offered(engine: Engine) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"{engine.ws_url}/app/app-key?protocol=7"
        async with session.ws_connect(url, protocols=("soap", "wamp", "v1.pusher"), compress=15) as socket:
            assert (await socket.receive_json(timeout=10))["event"] == "pusher:connection_established"
            await socket.send_json({"event": "pusher:ping", "data": {}})
            assert (await socket.receive_json(timeout=10))["event"] == "pusher:pong"


@pytest.mark.parametrize(
    ("key", "query", "code"),
    [
        ("nobody", "protocol=7", 4001),
        ("app-key", "protocol=4", 4007),
        ("app-key", "protocol=nonsense", 4006),
    ],
)
async def test_refusals_are_told_on_an_open_websocket(engine: Engine, key: str, query: str, code: int) -> None:
    async with connected(engine.ws_url, key, query=query, wait=False) as client:
        error = await client.next("pusher:error")
        assert error["data"]["code"] == code
        assert error["data"]["message"]
        assert await client.wait_closed() == code


@pytest.mark.parametrize("protocol", [5, 6, 7])
async def test_protocols_in_use(engine: Engine, protocol: int) -> None:
    async with connected(engine.ws_url, query=f"client=x&protocol={protocol}&unknown=1") as client:
        await client.subscribe("any-protocol")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one folder."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem"
    name = "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    command = f"openssl req -x509 -days 2 {key} {name} -out cert.pem".split()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def tls_engine(certificate: Path, hooks: WebhookReceiver) -> Iterator[Engine]:
    paths = {"cert_path": str(certificate / "cert.pem"), "key_path": str(certificate / "key.pem")}
    config = shared_config(hooks) | {"ssl": {"enabled": True, **paths}}
    with running(config, workers=2, cafile=certificate / "cert.pem") as started:
        yield started


def test_tls(tls_engine: Engine, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))

    async def scenario() -> None:
        async with connected(tls_engine.ws_url, ssl_context=context) as client:
            await client.subscribe("private-over-tls")
            await asyncio.to_thread(tls_engine.trigger, "private-over-tls", "greeting", "x" * 60_000)
            assert (await client.next("greeting"))["data"] == "x" * 60_000

    asyncio.run(scenario())
    with urllib.request.urlopen(f"{tls_engine.http_url}/ready", timeout=10, context=context) as answer:
        assert answer.status == 200


def test_plain_text_to_the_tls_port_harms_nobody(tls_engine: Engine, certificate: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", tls_engine.port, timeout=10)
    with pytest.raises((OSError, http.client.HTTPException)):
        connection.request("GET", "/ready")
        connection.getresponse()
    connection.close()
    test_tls(tls_engine, certificate)


def _upgrade(connection: http.client.HTTPConnection, headers: dict[str, str]) -> None:
    """Ask for a WebSocket and read its first frame, which servers send unmasked, so its text is there to be seen."""
    more = {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY, "Origin": "http://a.example"}
    connection.request("GET", "/app/app-key?protocol=7&client=js&version=8.4.0&flash=false", headers=headers | more)
    sock = connection.sock
    assert sock is not None
    answer = b""
    while b"pusher:connection_established" not in answer:
        part = sock.recv(65536)
        assert part, answer
        answer += part
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert f"sec-websocket-accept: {ACCEPT.lower()}" in answer.decode(errors="replace").lower()
    assert b"ec-websocket-protocol" not in answer
