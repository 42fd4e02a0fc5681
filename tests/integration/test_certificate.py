"""A renewed certificate: SIGHUP shows it to new connections, keeps the old ones, and refuses what cannot be used."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.stops.crowd import Crowd
from tests.support.client import connected
from tests.support.engine import APP, Engine, all_serve, is_ready, launch, running
from tests.support.node import missing
from tests.support.waiting import until, wait_until

WITHIN_S = 10.0
CLIENTS = 3
#: It is killed, and told of files that cannot be used.
NOISE = re.compile("Traceback|never awaited")


class Files:
    """A pair on disk, and who trusts it."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.cert, self.key, self.ca = folder / "cert.pem", folder / "key.pem", folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        self.renew(trustme.KeyType.ECDSA)

    def renew(self, key_type: trustme.KeyType) -> bytes:
        """Another certificate, in DER."""
        issued = self.authority.issue_cert("127.0.0.1", key_type=key_type)
        self.cert.write_bytes(issued.cert_chain_pems[0].bytes())
        self.key.write_bytes(issued.private_key_pem.bytes())
        return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def engine(files: Files) -> Iterator[Engine]:
    section = {"enabled": True, "cert_path": str(files.cert), "key_path": str(files.key)}
    with running({"ssl": section}, workers=2, cafile=files.ca, noise=NOISE) as started:
        yield started


def shown(engine: Engine) -> bytes:
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", engine.port), timeout=10))


def all_show(engine: Engine, certificate: bytes) -> bool:
    """Whether all of some connections do; one that is for a worker that has just died is reset."""
    try:
        return {shown(engine) for _ in range(8)} == {certificate}
    except OSError:
        return False


def hang_up(engine: Engine, answer: str) -> None:
    told = engine.log().count(answer)
    engine.process.send_signal(signal.SIGHUP)
    wait_until(lambda: engine.log().count(answer) > told, WITHIN_S, engine.log)


def expiry(engine: Engine) -> float:
    found = re.search(r"^sockudo_tls_certificate_expiry_timestamp_seconds{.*} (\S+)$", engine.metrics(), re.MULTILINE)
    assert found
    return float(found[1])


async def test_a_renewed_certificate_is_shown_to_new_connections_only(engine: Engine, files: Files) -> None:
    context = ssl.create_default_context(cafile=str(files.ca))
    async with connected(engine.ws_url, ssl_context=context) as client:
        await client.subscribe("room")
        # Of another kind: a context that was only loaded anew would go on showing the old one to some.
        renewed = files.renew(trustme.KeyType.RSA)
        assert shown(engine) != renewed, "nobody has said so yet"
        hang_up(engine, "every worker follows it")
        assert {shown(engine) for _ in range(6)} == {renewed}
        engine.trigger("room", "after", "x")
        assert (await client.next("after"))["data"] == "x"
        async with connected(engine.ws_url, ssl_context=context) as newcomer:
            await newcomer.subscribe("room")
    parsed = ssl._ssl._test_decode_cert(str(files.cert))  # type: ignore[attr-defined]
    assert expiry(engine) == ssl.cert_time_to_seconds(parsed["notAfter"])


async def test_a_broken_pair_is_refused_and_harms_nobody(engine: Engine, files: Files) -> None:
    before = shown(engine)
    files.key.write_bytes(files.authority.issue_cert("127.0.0.1").private_key_pem.bytes())
    hang_up(engine, "nothing has changed")
    refusal = f'ssl.key_path: "{files.key}" is not the key of the certificate'
    wait_until(lambda: refusal in engine.log(), WITHIN_S, engine.log)
    # A worker that is started now is given what the others have, whatever the files hold.
    victim = engine.workers()[0]
    os.kill(victim, signal.SIGKILL)
    await until(lambda: victim not in engine.workers() and len(engine.workers()) == 2)
    wait_until(lambda: all_show(engine, before), what=engine.log)
    assert engine.log().count("starting another") == 1


def test_the_option_that_names_another_file_is_followed(engine: Engine, files: Files) -> None:
    folder = files.cert.parent / "moved"
    folder.mkdir()
    moved = Files(folder)
    config = dict(engine.config)
    config["ssl"] = config["ssl"] | {"cert_path": str(moved.cert), "key_path": str(moved.key)}
    engine.config_path.write_text(json.dumps(config))
    hang_up(engine, "every worker follows it")
    assert shown(engine) == ssl.PEM_cert_to_DER_cert(moved.cert.read_text())
    assert "not before a restart" not in engine.log()


async def test_both_kinds_of_stop(engine: Engine, files: Files) -> None:
    """pusher-js comes back by itself from a restart in place; from a stop nobody is cut off without a close frame."""
    if reason := missing():
        pytest.skip(reason)
    wait_until(lambda: all_serve(engine))
    files.renew(trustme.KeyType.ECDSA)
    engine.config_path.write_text(json.dumps(engine.config))
    hang_up(engine, "every worker follows it")
    crowd = Crowd(CLIENTS, engine.port, APP["key"], APP["secret"], cafile=files.ca)
    try:
        done = await asyncio.to_thread(engine.command, "restart")
        assert done.returncode == 0, done.stdout + done.stderr
        wait_until(lambda: crowd.times() >= 2 and crowd.out() == 0)
        context = ssl.create_default_context(cafile=str(files.ca))
        async with connected(engine.ws_url, ssl_context=context) as client:
            assert await asyncio.to_thread(engine.terminate) == 0, engine.log()
            assert await client.wait_closed() == 4100
        wait_until(lambda: crowd.out() == CLIENTS)
        diaries = crowd.leave()
    finally:
        crowd.end()
    for diary in diaries:
        assert "failed" not in {state for _, state in diary["states"]}
    engine.process = launch(engine.folder, 2)
    wait_until(lambda: is_ready(engine))
