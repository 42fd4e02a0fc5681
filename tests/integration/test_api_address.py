"""The HTTP API at addresses of its own: a port with TLS and a Unix socket, and nothing of it on the main port."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import stat
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import connected
from tests.support.engine import APP, Engine, running
from tests.support.signing import signed_query
from tests.support.waiting import free_port

PEM = Path(__file__).resolve().parents[1] / "support" / "self_signed.pem"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("api")
    config = {
        "http_api": {"port": free_port(), "unix_socket": str(folder / "api.sock")},
        "ssl": {"enabled": True, "cert_path": str(PEM), "key_path": str(PEM)},
    }
    with running(config, workers=2, cafile=PEM) as started:
        yield started
        started.terminate()
        assert not unix_path(started).exists()


def unix_path(engine: Engine) -> Path:
    return Path(engine.config["http_api"]["unix_socket"])


class Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def by(engine: Engine, how: str) -> http.client.HTTPConnection:
    if how == "unix":
        return Unix(unix_path(engine))
    port = engine.config["http_api"]["port"]
    if how == "plain":
        return http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=ssl.create_default_context(cafile=PEM))


def ask(engine: Engine, how: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
    data = b"" if body is None else json.dumps(body).encode()
    full = f"/apps/{APP['id']}{path}"
    query = urllib.parse.urlencode(signed_query(APP["key"], APP["secret"], method, full, data))
    connection = by(engine, how)
    try:
        connection.request(method, f"{full}?{query}", data or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def event(name: str) -> dict[str, Any]:
    return {"name": name, "channels": ["room"], "data": "{}"}


@pytest.mark.parametrize("how", ["port", "unix"])
async def test_back_ends_ask_there(engine: Engine, how: str) -> None:
    async with connected(engine.ws_url, ssl_context=ssl.create_default_context(cafile=PEM)) as client:
        await client.subscribe("room")
        assert await asyncio.to_thread(ask, engine, how, "POST", "/events", event("fast")) == (200, b"{}")
        await client.next("fast")
        # What the fast path hands on.
        extra = {"X-Idempotency-Key": how}
        assert await asyncio.to_thread(ask, engine, how, "POST", "/events", event("slow"), **extra) == (200, b"{}")
        await client.next("slow")
        batch = {"batch": [{"name": "batch", "channel": "room", "data": "{}"}]}
        assert (await asyncio.to_thread(ask, engine, how, "POST", "/batch_events", batch))[0] == 200
        await client.next("batch")
        status, body = await asyncio.to_thread(ask, engine, how, "GET", "/channels/room")
        assert (status, json.loads(body)["occupied"]) == (200, True)


def test_the_main_port_has_pages_and_no_api(engine: Engine) -> None:
    for path in ("/", "/ready", "/live", "/up"):
        assert engine.raw("GET", path).status == 200
    for method, path, body in (("POST", "/events", event("e")), ("GET", "/channels", None)):
        answer = engine.request(method, path, body)
        assert (answer.status, answer.json["code"]) == (404, "not_found")
        assert "an address of its own" in answer.json["error"]


@pytest.mark.parametrize("how", ["port", "unix"])
def test_clients_are_not_served_there(engine: Engine, how: str) -> None:
    connection = by(engine, how)
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    for headers in (upgrade, {}):
        connection.request("GET", f"/app/{APP['key']}?protocol=7", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 404
        assert b"main port" in answer.read()
    connection.request("GET", "/ready")
    assert connection.getresponse().status == 200
    connection.close()


def test_commands_find_it(engine: Engine) -> None:
    # The certificate is no public authority's, so the road is taken only where there is no TLS.
    config = json.loads(engine.config_path.read_text())
    config["http_api"] |= {"port": None}
    own = engine.folder / "unix-only.json"
    own.write_text(json.dumps(config))
    done = engine.command("trigger", "--config", own, "room", "e", "{}")
    assert (done.returncode, done.stdout) == (0, "sent e to room\n"), done.stderr


def test_the_operator_is_told(engine: Engine) -> None:
    port = engine.config["http_api"]["port"]
    assert f"the HTTP API is at https://127.0.0.1:{port} and unix:{unix_path(engine)} only" in engine.log()
    assert stat.S_IMODE(unix_path(engine).stat().st_mode) == 0o660


def test_it_outlives_a_restart_in_place(engine: Engine) -> None:
    inode = unix_path(engine).stat().st_ino
    config = json.loads(engine.config_path.read_text())
    # Without TLS from now on.
    engine.config_path.write_text(json.dumps(config | {"http_api": config["http_api"] | {"tls": False}}))
    done = engine.command("restart")
    assert done.returncode == 0, done.stdout
    for how in ("plain", "unix"):
        assert ask(engine, how, "POST", "/events", event("e"))[0] == 200
    assert engine.request("GET", "/channels").status == 404
    assert unix_path(engine).stat().st_ino == inode
