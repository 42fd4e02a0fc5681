"""Servers of databases that refuse, hang, restart or are something else: what the source says, and that it recovers."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from engine.apps.sources import table as table_module
from engine.errors import SourceUnavailable
from tests.apps.sources.bench import ONE, SOCKUDO, entries, fresh_table, refusal, source_of
from tests.support.databases import (
    CERTIFICATE,
    PASSWORD,
    DatabaseServer,
    MariaDbServer,
    PostgresServer,
    database_server,
)
from tests.support.waiting import free_port

#: Statements that make, and remove, a user who is let in with TLS only.
REQUIRE_TLS = {
    "postgres": ([f"CREATE ROLE careful LOGIN SUPERUSER PASSWORD '{PASSWORD}'"], ["DROP ROLE careful"]),
    "mysql": (
        [f"CREATE USER careful@'%' IDENTIFIED BY '{PASSWORD}' REQUIRE SSL", "GRANT ALL ON engine.* TO careful@'%'"],
        ["DROP USER careful@'%'"],
    ),
}


def test_tls(server: DatabaseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Encrypted and verified; a certificate that nobody vouches for, or for another name, is refused."""
    with fresh_table(server, SOCKUDO, ONE) as table:
        assert entries(server, table, tls=True, tls_ca_path=str(CERTIFICATE)) == [ONE]
        assert "certificate verify failed" in refusal(server, table, tls=True)
        told = refusal(server, table, tls=True, tls_ca_path=str(CERTIFICATE), host="localhost")
        assert "certificate" in told and "localhost" in told
        server.execute(f"DELETE FROM {table}")
        server.execute(*REQUIRE_TLS[server.driver][0])
        try:
            assert entries(server, table, tls=True, tls_ca_path=str(CERTIFICATE), username="careful") == []
        finally:
            server.execute(*REQUIRE_TLS[server.driver][1])


def test_wrong_password(server: DatabaseServer) -> None:
    wrong = "wrong-password-that-no-log-may-show"
    told = refusal(server, password=wrong)
    assert told.startswith(f"{server.driver} at 127.0.0.1:{server.port}, table apps: ")
    assert wrong not in told and "engine" in told


def test_missing_table_and_missing_database(server: DatabaseServer) -> None:
    told = refusal(server, "nothing_here")
    assert "nothing_here" in told.partition("table nothing_here: ")[2]
    assert "elsewhere" in refusal(server, database="elsewhere")


def test_nobody_answers(server: DatabaseServer) -> None:
    told = refusal(server, port=free_port())
    assert "connect" in told.lower()


def test_a_server_that_only_listens(server: DatabaseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "CONNECT_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        told = refusal(server, port=silent.getsockname()[1])
    assert told.endswith("cannot connect within 0.2 s")


def test_something_else_answers(server: DatabaseServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=_answer_as_http, args=(listener,))
        answering.start()
        refusal(server, port=listener.getsockname()[1])
        answering.join()


def _answer_as_http(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 100)


@pytest.mark.parametrize("kind", [PostgresServer, MariaDbServer])
def test_a_server_that_is_restarted_or_hangs(kind: type[DatabaseServer], monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(server: DatabaseServer, table: str) -> None:
        async with source_of(server, table) as source:
            assert await source.read() == [ONE]
            # Back before anybody asked: nobody notices.
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            assert await source.read() == [ONE]
            # Away, and back again.
            await asyncio.to_thread(server.stop)
            for _ in range(2):
                with pytest.raises(SourceUnavailable):
                    await source.read()
            await asyncio.to_thread(server.start)
            assert await source.read() == [ONE]
            # A server that stands still is given up, and found again when it goes on.
            with monkeypatch.context() as limits:
                limits.setattr(table_module, "READ_TIMEOUT_S", 0.3)
                limits.setattr(table_module, "CONNECT_TIMEOUT_S", 0.3)
                server.pause()
                try:
                    with pytest.raises(SourceUnavailable, match=r"within 0\.3 s"):
                        await source.read()
                finally:
                    server.resume()
            assert await source.read() == [ONE]

    with database_server(kind) as server, fresh_table(server, SOCKUDO, ONE) as table:
        asyncio.run(play(server, table))


def test_a_reading_that_is_cancelled_harms_no_other(server: DatabaseServer) -> None:
    async def play(table: str) -> None:
        async with source_of(server, table) as source:
            await source.read()
            for _ in range(3):
                reading = asyncio.create_task(source.read())
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading
                assert await source.read() == [ONE]

    with fresh_table(server, SOCKUDO, ONE) as table:
        asyncio.run(play(table))
