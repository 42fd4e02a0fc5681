"""`python -m engine listen`: the rules by which it comes back, and what it prints. Its round trip is in integration."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from aiohttp import web

from engine._fast.signature import Signer
from engine.app import App
from engine.cli.listen import Stop, listen, reconnect_delay
from tests.support.signing import channel_auth
from tests.support.waiting import free_port

APP = App("1", "key", "secret", Signer("secret"))


@pytest.mark.parametrize(
    ("code", "failures", "delay_s"),
    [(None, 1, 1), (None, 2, 2), (None, 9, 10), (1006, 0, 1), (1012, 0, 1), (4100, 0, 1), (4200, 0, 0), (4201, 0, 0)],
)
def test_comes_back(code: int | None, failures: int, delay_s: float) -> None:
    assert reconnect_delay(code, failures) == delay_s


@pytest.mark.parametrize("code", [4000, 4001, 4009, 4099, 4300, 4399])
def test_stays_away(code: int) -> None:
    with pytest.raises(Stop, match=str(code)):
        reconnect_delay(code, 0)


class ScriptedServer:
    """Speaks the protocol by a script: for each connection the messages it sends, and its close code."""

    def __init__(self, *script: tuple[list[dict[str, Any]], int]) -> None:
        self.script = list(script)
        self.received: list[dict[str, Any]] = []
        self.url = ""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        application = web.Application()
        application.router.add_get("/app/key", self._handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"ws://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        messages, code = self.script.pop(0)
        opening = '{"socket_id":"1.2","activity_timeout":120}'
        await socket.send_json({"event": "pusher:connection_established", "data": opening})
        self.received.append(await socket.receive_json())
        for message in messages:
            await socket.send_json(message)
            if message["event"] == "pusher:ping":
                self.received.append(await socket.receive_json(timeout=20))
        await socket.close(code=code)
        return socket


def test_a_server_that_is_not_there_is_said_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def delay(code: int | None, failures: int) -> float:
        tries.append(failures)
        if failures == 3:
            raise Stop("enough")
        return 0.0

    monkeypatch.setattr("engine.cli.listen.reconnect_delay", delay)
    url = f"ws://127.0.0.1:{free_port()}"
    assert listen(APP, url, ["a"], "me") == 1
    said = f"cannot reach {url}: Connection refused; is the server running? Trying again."
    assert (tries, capsys.readouterr().err.splitlines()) == ([1, 2, 3], [said, "enough"])


def test_prints_and_comes_back_until_it_is_sent_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.cli.listen.RECONNECT_S", 0.01)
    first = [
        {"event": "pusher_internal:subscription_succeeded", "channel": "private-a", "data": "{}"},
        {"event": "greeting", "channel": "private-a", "data": "hello\nthere"},
    ]
    second = [
        {"event": "client-x", "channel": "private-a", "data": {"n": 1}},
        {"event": "pusher:pong", "data": {}},
        {"event": "pusher:error", "data": {"code": 4301, "message": "too\x1b[2Jfast"}},
    ]
    with ScriptedServer((first, 4200), (second, 1012), ([], 4001)) as server:
        assert listen(APP, server.url, ["private-a"], "me") == 1
    subscribe = {"channel": "private-a", "auth": channel_auth("key", "secret", "1.2", "private-a")}
    assert server.received == [{"event": "pusher:subscribe", "data": subscribe}] * 3
    out, err = capsys.readouterr()
    assert [line.split("  ", 1)[1] for line in out.splitlines()] == [
        "private-a  greeting  hello\\nthere",
        'private-a  client-x  {"n":1}',
    ]
    assert "subscribed to private-a" in err
    assert 'error: {"code":4301,"message":"too\\u001b[2Jfast"}' in err
    assert "closed the connection for good with code 4001" in err


def test_a_ping_is_answered() -> None:
    with ScriptedServer(([{"event": "pusher:ping", "data": {}}], 4001)) as server:
        assert listen(APP, server.url, ["a"], "me") == 1
    assert server.received[1:] == [{"event": "pusher:pong", "data": {}}]


def test_refused_subscription_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    refusal = {
        "event": "pusher:subscription_error",
        "channel": "private-a",
        "data": {"error": "Not you", "status": 401},
    }
    with ScriptedServer(([refusal], 1000)) as server:
        assert listen(APP, server.url, ["private-a"], "me") == 1
    assert 'not allowed to subscribe to private-a: {"error":"Not you","status":401}' in capsys.readouterr().err
