"""Clients behind real balancers: the engine knows each by its own address, by PROXY protocol or by header."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.client import connected
from tests.support.engine import Engine, running
from tests.support.waiting import free_port, wait_until

#: Where the balancers come from, by what they speak. The tests themselves come from other addresses of this machine.
BY_HEADER, BY_PROXY = "127.0.0.8", "127.0.0.9"
PEM = Path(__file__).parents[1] / "support" / "self_signed.pem"
STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
HAPROXY = """
global
    stats socket {folder}/stats
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    default-server inter 200 fall 1 rise 1
listen send-proxy
    bind 127.0.0.1:{send-proxy}
    source {BY_PROXY}
    server a 127.0.0.1:{engine} send-proxy
listen send-proxy-v2
    bind 127.0.0.1:{send-proxy-v2}
    source {BY_PROXY}
    server a 127.0.0.1:{engine} send-proxy-v2 proxy-v2-options unique-id,crc32c
    unique-id-format %pid-%rt
listen check-send-proxy
    bind 127.0.0.1:{check-send-proxy}
    source {BY_PROXY}
    option httpchk GET /ready
    server a 127.0.0.1:{engine} send-proxy check port {engine} check-send-proxy
    server b 127.0.0.1:{engine} send-proxy-v2 check port {engine} check-send-proxy
    server c 127.0.0.1:{engine} send-proxy-v2 check port {engine}
listen tls
    bind 127.0.0.1:{tls}
    source {BY_PROXY}
    server a 127.0.0.1:{engine_tls} send-proxy-v2
listen haproxy-x-forwarded-for
    mode http
    bind 127.0.0.1:{haproxy-x-forwarded-for}
    source {BY_HEADER}
    option forwardfor
    server a 127.0.0.1:{engine}
listen haproxy-forwarded
    mode http
    bind 127.0.0.1:{haproxy-forwarded}
    source {BY_HEADER}
    http-request del-header X-Forwarded-For
    http-request set-header Forwarded for=%[src];proto=http
    server a 127.0.0.1:{engine}
"""
NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log;
load_module {STREAM_MODULE};
events {{ worker_connections 256; }}
stream {{
    server {{
        listen 127.0.0.1:{nginx-stream};
        proxy_bind {BY_PROXY};
        proxy_protocol on;
        proxy_pass 127.0.0.1:{engine};
    }}
}}
http {{
    access_log off;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{
        listen 127.0.0.1:{nginx-http};
        location / {{
            proxy_bind {BY_HEADER};
            proxy_pass http://127.0.0.1:{engine};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "Upgrade";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
}}
"""
KINDS = (
    "send-proxy",
    "send-proxy-v2",
    "check-send-proxy",
    "haproxy-x-forwarded-for",
    "haproxy-forwarded",
    "nginx-stream",
    "nginx-http",
)
UPGRADE = (
    b"GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
CONFIG = {
    "debug": True,
    "trusted_proxies": [BY_HEADER],
    "proxy_protocol": {"enabled": True, "trusted": [BY_PROXY]},
    "websocket": {"max_connections_per_address": 2},
}
TLS = {"ssl": {"enabled": True, "cert_path": str(PEM), "key_path": str(PEM)}}

pytestmark = pytest.mark.skipif(
    shutil.which("haproxy") is None or shutil.which("nginx") is None or not STREAM_MODULE.exists(),
    reason="HAProxy and nginx with its stream module are not installed",
)


@dataclass(frozen=True, slots=True)
class Front:
    """Balancers in front of an engine, and of one with TLS.

    :ivar ports: theirs, by kind. :ivar stats: HAProxy's socket for questions.
    """

    engine: Engine
    secured: Engine
    ports: dict[str, int]
    stats: Path

    async def comes_from(self, kind: str, address: str, headers: dict[str, str] | None = None) -> str:
        """Where the engine says that a client comes from."""
        url = f"ws://127.0.0.1:{self.ports[kind]}"
        async with connected(url, headers=headers, local_address=address) as client:
            return origin(self.engine, client.socket_id)

    def checks(self) -> dict[str, str]:
        """Server -> what its last check was, in HAProxy's words."""
        with closing(socket.socket(socket.AF_UNIX)) as asked, asked.makefile("rb") as answer:
            asked.connect(str(self.stats))
            asked.sendall(b"show stat\n")
            rows = [line.split(",") for line in answer.read().decode().splitlines() if line]
        at = rows[0].index("check_status")
        return {row[1]: row[at] for row in rows if row[0] == "check-send-proxy"}


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with running(CONFIG) as engine, running(CONFIG | TLS, cafile=PEM) as secured:
        yield from serving(engine, secured)


def serving(engine: Engine, secured: Engine) -> Iterator[Front]:
    ports = {kind: free_port() for kind in (*KINDS, "tls")}
    folder = Path(tempfile.mkdtemp(prefix="balancers-"))
    given = {**ports, "engine": engine.port, "engine_tls": secured.port, "folder": folder}
    given |= {"BY_HEADER": BY_HEADER, "BY_PROXY": BY_PROXY, "STREAM_MODULE": STREAM_MODULE}
    (folder / "haproxy").write_text(HAPROXY.format_map(given))
    (folder / "nginx").write_text(NGINX.format_map(given))
    commands = (["haproxy", "-db", "-f", "haproxy"], ["nginx", "-p", str(folder), "-c", str(folder / "nginx")])
    with (folder / "log").open("wb") as log:
        processes = [subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) for command in commands]
    try:
        for port in ports.values():
            wait_until(lambda port=port: listens(port), what=(folder / "log").read_text)
        yield Front(engine, secured, ports, folder / "stats")
    finally:
        for process in processes:
            process.terminate()
            process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def origin(engine: Engine, socket_id: str) -> str:
    line = re.compile(rf"socket {re.escape(socket_id)} connects from (\S+)")
    wait_until(lambda: line.search(engine.log()))
    found = line.search(engine.log())
    assert found is not None
    return found[1]


def refusals(engine: Engine) -> float:
    found = re.search(r'connection_errors_total\{.*error_type="proxy_header".*\} (\S+)', engine.metrics())
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_is_known_by_its_own_address(front: Front, kind: str) -> None:
    assert await front.comes_from(kind, "127.0.0.77") == "127.0.0.77"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
async def test_what_a_client_says_itself_is_not_believed(front: Front, kind: str, header: str) -> None:
    said = {header: "192.0.2.9" if header == "X-Forwarded-For" else "for=192.0.2.9"}
    # Where a proxy passes on the header that it does not set, the two do not agree, and neither is believed.
    mixed = header == "Forwarded" and kind in ("haproxy-x-forwarded-for", "nginx-http")
    assert await front.comes_from(kind, "127.0.0.77", said) == (BY_HEADER if mixed else "127.0.0.77")


def test_a_client_is_known_in_front_of_tls_too(front: Front) -> None:
    """Over a plain socket: an event loop may end before a TLS connection of its has."""
    context = ssl.create_default_context(cafile=PEM)
    plain = socket.create_connection(("127.0.0.1", front.ports["tls"]), 30, ("127.0.0.77", 0))
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
        client.sendall(UPGRADE)
        said = b""
        while (found := re.search(rb"socket_id\W+([0-9.]+)\W", said)) is None:
            piece = client.recv(4096)
            assert piece, said
            said += piece
        assert origin(front.secured, found[1].decode()) == "127.0.0.77"


async def test_a_client_without_a_balancer_is_served_too(front: Front) -> None:
    async with connected(front.engine.ws_url, local_address="127.0.0.77") as client:
        assert origin(front.engine, client.socket_id) == "127.0.0.77"
    assert front.engine.trigger("room", "event") == {}


def test_health_checks_have_to_bring_the_header(front: Front) -> None:
    before = refusals(front.engine)

    def as_expected() -> bool:
        checks = front.checks()
        return (checks["a"], checks["b"]) == ("L7OK", "L7OK") and checks["c"] not in ("", "INI", "L7OK")

    wait_until(as_expected, what=lambda: str(front.checks()))
    wait_until(lambda: refusals(front.engine) > before)
    assert "send-proxy-v2 check-send-proxy" in front.engine.log()


@pytest.mark.parametrize("address", [BY_PROXY, "127.0.0.77"])
def test_who_breaks_the_agreement_is_refused_and_counted(front: Front, address: str) -> None:
    sent = b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n"
    if address != BY_PROXY:
        sent = b"PROXY TCP4 192.0.2.9 192.0.2.1 1 1\r\n" + sent
    before = refusals(front.engine)
    with socket.create_connection(("127.0.0.1", front.engine.port), 10, (address, 0)) as client:
        client.sendall(sent)
        try:
            assert client.recv(100) == b""
        except ConnectionResetError:
            pass
    wait_until(lambda: refusals(front.engine) > before)
    assert "192.0.2.9" not in front.engine.log()


async def test_limits_of_an_address_are_limits_of_the_client(front: Front) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(2):
            for kind in ("send-proxy-v2", "nginx-http"):
                url = f"ws://127.0.0.1:{front.ports[kind]}"
                address = "127.0.0.31" if kind == "nginx-http" else "127.0.0.32"
                await stack.enter_async_context(connected(url, local_address=address))
        for kind in ("send-proxy-v2", "nginx-http"):
            url = f"ws://127.0.0.1:{front.ports[kind]}"
            late = await stack.enter_async_context(connected(url, wait=False, local_address="127.0.0.31"))
            assert await late.wait_closed() == 4100
            await stack.enter_async_context(connected(url, local_address="127.0.0.33"))
