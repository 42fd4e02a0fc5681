"""The metrics page over HTTP."""

from __future__ import annotations

import http.client
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from engine.config.server import MetricsConfig
from engine.errors import ConfigError
from engine.metrics import server as module
from engine.metrics.metrics import Metrics
from engine.metrics.server import MetricsServer
from tests.support.waiting import wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MetricsServer]:
    started = MetricsServer(Metrics().families, MetricsConfig(host="127.0.0.1", port=0), 6001, tmp_path)
    started.start()
    yield started
    started.stop()


def ask(server: MetricsServer, path: str, method: str = "GET") -> tuple[int, str | None, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read()
    finally:
        connection.close()


def test_pages(server: MetricsServer, worker: Callable[[int | str], Metrics]) -> None:
    metrics = worker(0)
    metrics.events.published.add(1, "a")
    metrics.flush()
    status, kind, body = ask(server, "/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert b'\nsockudo_broadcast_messages_total{app_id="a",port="6001"} 1\n' in body
    assert ask(server, "/metrics?json=0")[2] == body
    assert ask(server, "/") == (200, "text/plain; charset=utf-8", b"OK")
    assert ask(server, "/metrics", "HEAD")[::2] == (200, b"")
    assert ask(server, "/metrics/../etc/passwd")[0] == 404
    assert ask(server, "/metrics", "POST")[0] == 501


def test_a_page_that_cannot_be_made_is_an_error_and_the_next_one_is_fine(
    server: MetricsServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "0.counts.db"
    broken.write_bytes(b"")
    with caplog.at_level(logging.ERROR):
        assert ask(server, "/metrics")[0] == 500
    assert "the metrics page cannot be made" in caplog.text
    broken.unlink()
    assert ask(server, "/metrics")[0] == 200


def test_clients_without_a_request_do_not_keep_others_out(server: MetricsServer) -> None:
    """Each scrape is answered at once: whoever has waited longest without a request makes room."""
    with ExitStack() as stack:
        for number in range(module.MAX_REQUESTS * 3):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            slow.sendall(b"GET /met"[: number % 9])
            if number % module.MAX_REQUESTS == module.MAX_REQUESTS - 1:
                assert ask(server, "/metrics")[0] == 200


def test_bytes_do_not_move_the_deadline_of_a_request(server: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.3)
    with socket.create_connection(("127.0.0.1", server.port)) as dripping:
        dripping.settimeout(0.02)

        def ended() -> bool:
            try:
                dripping.send(b"a")
                return dripping.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        wait_until(ended, 5, "the connection is ended")


def test_a_client_that_goes_away_says_nothing_in_the_log(
    server: MetricsServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for request in (b"", b"\x00\xff\r\n\r\n", b"GET /metrics HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall(request)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert ask(server, "/")[0] == 200
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]
    assert capfd.readouterr().err == ""


def test_a_port_that_is_taken_is_told_readably(server: MetricsServer, tmp_path: Path) -> None:
    second = MetricsServer(Metrics().families, MetricsConfig(host="127.0.0.1", port=server.port), 6001, tmp_path)
    with pytest.raises(ConfigError) as caught:
        second.start()
    assert str(caught.value) == f"metrics.port: cannot listen on 127.0.0.1:{server.port}: Address already in use"
    second.stop()


def test_stopping_frees_the_port_and_it_can_start_again(tmp_path: Path) -> None:
    server = MetricsServer(Metrics().families, MetricsConfig(host="127.0.0.1", port=0), 6001, tmp_path)
    for _ in range(2):
        server.start()
        port = server.port
        assert ask(server, "/")[0] == 200
        server.stop()
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
    server.stop()
