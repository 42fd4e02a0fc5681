"""Balancers in front of two nodes, each with the shortest configuration that does what docs/operations.md says."""

from __future__ import annotations

import http.client
import itertools
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import free_port, wait_until

_HAPROXY = """
defaults
    mode {mode}
    timeout connect 2s
    timeout client 120s
    timeout server 120s
    timeout tunnel 120s
    retries 3
    option redispatch
    {more}
frontend in
    bind 127.0.0.1:{port}
    default_backend nodes
backend nodes
    balance roundrobin
    option httpchk GET /ready
    default-server check inter 1s fall 2 rise 1
{servers}
"""
_NGINX = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
{modules}
events {{ worker_connections 4096; }}
{body}
"""
_NGINX_HTTP = """
http {{
    access_log off;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    map $http_upgrade $connection_upgrade {{ default upgrade; "" close; }}
    upstream nodes {{ {servers} }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://nodes;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_read_timeout 120s;
            proxy_next_upstream error timeout non_idempotent;
            proxy_connect_timeout 1s;
        }}
    }}
}}
"""
_NGINX_STREAM = """
stream {{
    upstream nodes {{ {servers} }}
    server {{ listen 127.0.0.1:{port}; proxy_pass nodes; proxy_connect_timeout 1s; proxy_timeout 120s; }}
}}
"""
_STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
KINDS = ("haproxy-tcp", "haproxy-http", "nginx-http", "nginx-stream", "plain")


@contextmanager
def balancer(kind: str, ports: Sequence[int]) -> Iterator[int]:
    """The port of a balancer of this kind over nodes at these ports."""
    port = free_port()
    if kind == "plain":
        with _plain(port, ports):
            yield port
        return
    folder = Path(tempfile.mkdtemp(prefix="balancer-"))
    if kind.startswith("haproxy"):
        servers = "\n".join(f"    server node{at} 127.0.0.1:{node}" for at, node in enumerate(ports))
        text = _HAPROXY.format(mode=kind.removeprefix("haproxy-"), port=port, servers=servers, more="")
        command = ["haproxy", "-db", "-f", str(folder / "conf")]
    else:
        servers = " ".join(f"server 127.0.0.1:{node} max_fails=1 fail_timeout=2s;" for node in ports)
        body = (_NGINX_HTTP if kind == "nginx-http" else _NGINX_STREAM).format(
            folder=folder, port=port, servers=servers
        )
        modules = f"load_module {_STREAM_MODULE};" if kind == "nginx-stream" else ""
        text = _NGINX.format(folder=folder, body=body, modules=modules)
        command = ["nginx", "-p", str(folder), "-c", str(folder / "conf")]
    (folder / "conf").write_text(text)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until(lambda: _listens(port), what=(folder / "log").read_text)
        yield port
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _plain(port: int, ports: Sequence[int]) -> Iterator[None]:
    """As network load balancers do it: looks every 2 s, and a connection goes to one node, come what may."""
    good = list(ports)
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            good[:] = [node for node in ports if _ready(node)] or list(ports)
            over.wait(2.0)

    def serve(listening: socket.socket) -> None:
        for turn in itertools.count():
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=_carry, args=(client, good[turn % len(good)]), daemon=True).start()

    with socket.create_server(("127.0.0.1", port), backlog=1024) as listening:
        threads = [threading.Thread(target=look), threading.Thread(target=serve, args=(listening,), daemon=True)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            threads[0].join()


def _carry(client: socket.socket, node: int) -> None:
    with client:
        try:
            server = socket.create_connection(("127.0.0.1", node), timeout=5)
        except OSError:
            return
        with server:
            ends = {client: server, server: client}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    try:
                        data = end.recv(65536)
                        ends[end].sendall(data)
                    except OSError:
                        return
                    if not data:
                        return


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def settle() -> None:
    """Let health checks see what has changed."""
    time.sleep(3.0)
