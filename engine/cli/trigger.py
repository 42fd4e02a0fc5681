"""`python -m engine trigger`: publishes one signed event, as a back end does.

Goes over the HTTP API only, like every other back end.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import time
import urllib.error
import urllib.request
from urllib.parse import urlencode

import orjson

from engine.app import App
from engine.cli.text import complain, say
from engine.log.escapes import one_line

TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 64 * 1024


def trigger(app: App, target: tuple[str, str | None], channel: str, event: str, data: str) -> int:
    """Publish to the server and print how it went; returns the exit status.

    :param target: ``http://host:port``, with the path prefix when the server has one; and the path of the Unix socket
        behind which it is, if it is.
    :param data: sent as it is; subscribers get exactly this string (H-11).
    """
    url, unix_socket = target
    # No proxy that the environment names leads to a file of this machine.
    handlers = [] if unix_socket is None else [_UnixSocket(unix_socket), urllib.request.ProxyHandler({})]
    body = orjson.dumps({"name": event, "channels": [channel], "data": data})
    request = urllib.request.Request(signed_url(app, url, body), body, {"Content-Type": "application/json"})
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT_S) as answer:
            answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            complain(f"refused with {refusal.code}: {_reason(_body(refusal))}")
        return 1
    except (OSError, http.client.HTTPException) as error:
        complain(f"cannot reach {unix_socket or url}: {getattr(error, 'reason', error)}; is the server running?")
        return 1
    say(f"sent {one_line(event)} to {one_line(channel)}")
    return 0


def signed_url(app: App, url: str, body: bytes) -> str:
    """The full address with its signature over method, path and query (H-3, H-4)."""
    path = f"/apps/{app.id}/events"
    query = {
        "auth_key": app.key,
        "auth_timestamp": str(int(time.time())),
        "auth_version": "1.0",
        "body_md5": hashlib.md5(body, usedforsecurity=False).hexdigest(),
    }
    text = "&".join(f"{name}={value}" for name, value in query.items())  # sorted by name already
    query["auth_signature"] = app.signer.hex(f"POST\n{path}\n{text}".encode())
    return f"{url}{path}?{urlencode(query)}"


class _UnixSocket(urllib.request.HTTPHandler):
    """Whatever is asked for is asked there."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection, req)

    def _connection(self, host: str, *, timeout: float | None = TIMEOUT_S, **_: object) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(host, timeout=timeout)
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        try:
            sock.connect(self._path)
        except OSError:
            sock.close()
            raise
        connection.sock = sock
        return connection


def _body(refusal: urllib.error.HTTPError) -> bytes:
    """As much of it as comes."""
    try:
        return refusal.read(MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException):
        return b""


def _reason(body: bytes) -> str:
    """The server's own words, or the answer of whatever else listens there."""
    try:
        return one_line(orjson.loads(body)["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return one_line(body[:200].decode(errors="replace"))
