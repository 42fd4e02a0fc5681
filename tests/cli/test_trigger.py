"""`python -m engine trigger` sends what a back end's library would send, and tells how it went."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer
from urllib.parse import parse_qs, urlsplit

import pytest

from engine._fast.signature import Signer
from engine.app import App
from engine.cli.trigger import trigger
from tests.support.receiver import WebhookReceiver
from tests.support.signing import signed_query
from tests.support.waiting import free_port

APP = App("7", "key", "secret", Signer("secret"))


def test_request_is_signed_as_documented(receiver: WebhookReceiver, capsys: pytest.CaptureFixture[str]) -> None:
    assert trigger(APP, (f"{receiver.url}/prefix", None), "private-a", "Zoë's", '{"n":1}') == 0
    (request,) = receiver.requests
    assert json.loads(request.body) == {"name": "Zoë's", "channels": ["private-a"], "data": '{"n":1}'}
    path, query = urlsplit(request.path).path, {k: v[0] for k, v in parse_qs(request.query).items()}
    assert path == "/prefix/apps/7/events"
    expected = signed_query(
        "key", "secret", "POST", "/apps/7/events", request.body, timestamp=int(query["auth_timestamp"])
    )
    assert query == expected
    assert capsys.readouterr().out == "sent Zoë's to private-a\n"


@pytest.mark.parametrize("status", [401, 404, 413, 500])
def test_refusal_is_told(receiver: WebhookReceiver, capsys: pytest.CaptureFixture[str], status: int) -> None:
    receiver.answer(status, path="/apps/7/events")
    assert trigger(APP, (receiver.url, None), "a", "b", "c") == 1
    assert f"refused with {status}" in capsys.readouterr().err


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        server.asked.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.wfile.write(server.answer)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


class _Server(UnixStreamServer):
    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _Handler)
        self.asked: list[tuple[str, bytes]] = []
        self.answer = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def test_by_a_unix_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    path = tmp_path / "api.sock"
    with _Server(path) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert trigger(APP, ("http://localhost/prefix", str(path)), "a", "b", "c") == 0
        thread.join()
        ((target, body),) = server.asked
    assert target.startswith("/prefix/apps/7/events?auth_key=key&")
    assert json.loads(body) == {"name": "b", "channels": ["a"], "data": "c"}
    assert trigger(APP, ("http://localhost", f"{path}.other"), "a", "b", "c") == 1
    assert f"cannot reach {path}.other" in capsys.readouterr().err


def test_what_else_listens_there_commands_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "api.sock"
    with _Server(path) as server:
        # And breaks off before the end.
        server.answer = b'HTTP/1.0 400 No\r\nContent-Length: 300\r\n\r\n{"error":"no\\u001b[2J\\u202e"}'
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert trigger(APP, ("http://localhost", str(path)), "a", "b", "c") == 1
        thread.join()
    assert capsys.readouterr().err == "refused with 400: no\\x1b[2J\\u202e\n"


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert trigger(APP, (f"http://127.0.0.1:{free_port()}", None), "a", "b", "c") == 1
    assert "is the server running?" in capsys.readouterr().err
