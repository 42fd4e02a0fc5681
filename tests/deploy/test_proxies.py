"""The engine behind nginx and HAProxy as `deploy/` configures them: the very files, with other addresses in them."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.config.root import Config
from engine.ws.keepalive import PONG_TIMEOUT_S, SWEEP_S
from tests.support.client import connected
from tests.support.engine import APP, ROOT, Engine, running
from tests.support.waiting import free_port, wait_until

DEPLOY = ROOT / "deploy"
FILES = ("nginx/http.conf", "nginx/stream.conf", "haproxy.cfg", "haproxy-http.cfg")
STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
#: Which of them speak HTTP, and so can say who the client is.
SAYS_WHO = ("nginx/http.conf", "haproxy-http.cfg")
#: Whose connections begin with the PROXY protocol's header; the tests themselves come from another address.
BALANCER = "127.0.0.9"
#: Seconds of silence after which Debian's HAProxy cuts a connection; nginx does after 60.
SHORTEST_DEFAULT_S = 50


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running(
        {
            "ssl": {"trust_forwarded_proto": True},
            "proxy_protocol": {"enabled": True, "trusted": [BALANCER]},
            "app_manager": {"array": {"apps": [APP, SECURE]}},
        }
    ) as started:
        yield started


SECURE = APP | {"id": "2", "key": "tls-key", "secret": "tls-secret", "tls_only": True}


@contextmanager
def proxy(file: str, engine: Engine, folder: Path) -> Iterator[int]:
    """The port of the proxy that this file starts, with both nodes at one engine."""
    port = free_port()
    program = file.partition(".")[0].partition("/")[0].partition("-")[0]
    if shutil.which(program) is None or ("stream" in file and not STREAM_MODULE.exists()):
        pytest.skip(f"{file} needs a program that is not installed")
    text = re.sub(r"engine-[12]:6001", f"127.0.0.1:{engine.port}", (DEPLOY / file).read_text())
    assert text.count(str(engine.port)) == 2
    text = re.sub(r"(listen |bind :)6001", rf"\g<1>{port}", text)
    if "send-proxy" in text:
        text = text.replace("default-server ", f"default-server source {BALANCER} ")
    # What a machine of tests may have open.
    text = re.sub(r"(worker_rlimit_nofile|worker_connections|maxconn) \d+", r"\1 200", text)
    if program == "nginx":
        # Of a user who may write to none of the folders that the package made.
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
        text = text.replace("http {", f"http {{ {paths}", 1)
        # Started by root it would become somebody who may not write to the folder; others are warned, no more.
        options = f"daemon off; user root; pid {folder}/pid; error_log {folder}/error.log;"
        command = ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(folder / "conf"), "-g", options]
    else:
        command = ["haproxy", "-db", "-f", str(folder / "conf")]
    (folder / "conf").write_text(text)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until(lambda: _listens(port), what=(folder / "log").read_text)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("file", FILES)
async def test_a_client_and_a_back_end_reach_the_engine(file: str, engine: Engine, tmp_path: Path) -> None:
    with proxy(file, engine, tmp_path) as port:
        through = Engine(engine.process, engine.folder, {**engine.config, "port": port})
        async with connected(through.ws_url) as client:
            await client.subscribe("room")
            assert (await asyncio.to_thread(through.raw, "GET", "/ready")).status == 200
            data = "ü" * 40_000
            await asyncio.to_thread(through.trigger, "room", "said", data)
            assert (await client.next("said"))["data"] == data


@pytest.mark.parametrize("file", SAYS_WHO)
async def test_what_only_a_proxy_knows_is_told_by_it(file: str, engine: Engine, tmp_path: Path) -> None:
    """A client that claims TLS by itself is not believed by one that ends HTTP."""
    with proxy(file, engine, tmp_path) as port:
        forged = {"X-Forwarded-Proto": "https"}
        async with connected(f"ws://127.0.0.1:{port}", "tls-key", "tls-secret", wait=False, headers=forged) as client:
            assert (await client.next("pusher:error"))["data"]["code"] == 4000
            assert await client.wait_closed() == 4000


def test_something_is_heard_of_every_client_before_a_proxy_takes_it_for_dead() -> None:
    """Whoever is silent is pinged in time, by default; and our files wait for the answer as long as the engine does."""
    silent_s = Config().activity_timeout + SWEEP_S
    assert silent_s < SHORTEST_DEFAULT_S
    for file in FILES:
        text = (DEPLOY / file).read_text()
        silent = r"timeout tunnel" if "timeout tunnel" in text else r"timeout (?:client|server)"
        given = re.findall(rf"(?:{silent}|proxy(?:_read|_send)?_timeout) +(\d+)s", text)
        assert given
        assert min(map(int, given)) > silent_s + PONG_TIMEOUT_S, file
