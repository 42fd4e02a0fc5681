"""What `doctor` tries over the road that clients and back ends take: name, TLS, health, WebSocket, publish, silence.

Behaves as one client and one back end of the application, on a channel of its own, and never longer at a step than its
deadline.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from engine.app import App
from engine.cli.doctor_machine import expiry
from engine.cli.finding import Finding
from engine.cli.trigger import signed_url
from engine.protocol.json_values import loads

STEP_TIMEOUT_S = 10.0
#: What signatures bear (H-7), less some margin.
SKEW_PROBLEM_S, SKEW_S = 500.0, 30.0
#: What a ping of the server may be late by.
PING_LATE_S = 45.0
QUERY = "protocol=7&client=engine-doctor&version=1"

_UPGRADE = (
    "a proxy on the way drops the header Upgrade: nginx needs proxy_http_version 1.1, proxy_set_header Upgrade"
    ' $http_upgrade and proxy_set_header Connection "upgrade" (docs/proxies.md)'
)

#: Code of a refusal -> what to do.
_REFUSED: dict[Any, str] = {
    4001: "another configuration serves there, or the application has another key",
    4003: "python -m engine apps enable, or `enabled` of the application",
    4004: "raise `max_connections` of the application, or look whose connections those are (the console)",
    4005: "--url ends before /app/…",
}


class Stop(Exception):
    """What comes behind cannot be tried."""


async def walk(app: App, url: str, api: tuple[str, str | None], *, idle: bool) -> AsyncIterator[Finding]:
    """:param url: ``http://host:port`` with a path prefix, if any. :param api: the same of the HTTP API, and the path
        of the Unix socket behind which it is, if it is.
    :param idle: wait until the server pings a silent client.
    """
    try:
        async for finding in _names(url):
            yield finding
        timeout = aiohttp.ClientTimeout(total=STEP_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            async for finding in _health(session, url):
                yield finding
            async for finding in _client(session, app, url, api, idle=idle):
                yield finding
    except Stop:
        return


async def _names(url: str) -> AsyncIterator[Finding]:
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        yield Finding("problem", "name", f"{host} has no address: {error.strerror}", "add it to the DNS, or mend --url")
        raise Stop from None
    addresses = sorted({str(entry[4][0]) for entry in found})
    yield Finding("ok", "name", f"{host} is {', '.join(addresses)}")
    dead = [address for address in addresses if not await _reached(address, port)]
    if dead:
        remedy = "a firewall, a balancer that is not up, or an IPv6 address in the DNS that nobody serves"
        yield Finding("problem", "connect", f"port {port} cannot be reached at {', '.join(dead)}", remedy)
        if len(dead) == len(addresses):
            raise Stop
    if secure:
        yield await _tls(host, port)


async def _reached(address: str, port: int) -> bool:
    try:
        async with asyncio.timeout(STEP_TIMEOUT_S):
            _, writer = await asyncio.open_connection(address, port)
        writer.close()
    except (OSError, TimeoutError):
        return False
    return True


async def _tls(host: str, port: int) -> Finding:
    try:
        async with asyncio.timeout(STEP_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port, ssl=ssl.create_default_context())
    except ssl.SSLCertVerificationError as error:
        remedy = "the whole chain has to be sent, the leaf first, for this name, by an authority that browsers know"
        return Finding("problem", "tls", f"clients will refuse the certificate: {error.verify_message}", remedy)
    except (OSError, TimeoutError) as error:
        remedy = "does this port speak TLS? configure `ssl`, or a proxy that ends it"
        return Finding("problem", "tls", f"no handshake: {error or 'no answer'}", remedy)
    shown = writer.get_extra_info("peercert")
    writer.close()
    return expiry("tls", ssl.cert_time_to_seconds(shown["notAfter"]), time.time())


async def _health(session: aiohttp.ClientSession, url: str) -> AsyncIterator[Finding]:
    try:
        async with session.get(f"{url}/ready", allow_redirects=False) as answer:
            status, date, text = answer.status, answer.headers.get("Date"), await _said(answer)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        yield Finding(
            "problem", "health", f"GET /ready: {error or 'no answer'}", "is the engine running, and behind this?"
        )
        raise Stop from None
    if status == 200:
        yield Finding("ok", "health", "GET /ready: 200")
    elif 300 <= status < 400:
        yield Finding(
            "problem", "health", f"GET /ready: {status}", "clients follow no redirect: give the address it leads to"
        )
        raise Stop
    elif status in (403, 404):
        remedy = "fine where only balancers ask for it; else something else answers: host, path prefix, routes"
        yield Finding("warning", "health", f"GET /ready: {status}{text}", remedy)
    else:
        remedy = "the log says what it lacks" if status == 503 else _elsewhere(status)
        yield Finding("problem", "health", f"GET /ready: {status}{text}", remedy)
    if date is not None:
        yield _clock(date)


def _clock(date: str) -> Finding:
    try:
        ahead_s = parsedate_to_datetime(date).timestamp() - time.time()
    except ValueError:
        return Finding("warning", "clock", f"the answer's date cannot be read: {date}")
    if abs(ahead_s) < SKEW_S:
        return Finding("ok", "clock", "agrees with that of the server")
    text = f"the server's is {abs(ahead_s):.0f} s {'ahead' if ahead_s > 0 else 'behind'}; requests may be 600 s off"
    level = "problem" if abs(ahead_s) > SKEW_PROBLEM_S else "warning"
    return Finding(level, "clock", text, "run chrony or systemd-timesyncd on both machines")  # type: ignore[arg-type]


async def _client(
    session: aiohttp.ClientSession, app: App, url: str, api: tuple[str, str | None], *, idle: bool
) -> AsyncIterator[Finding]:
    try:
        async with asyncio.timeout(STEP_TIMEOUT_S):
            websocket = await session.ws_connect(f"{url.replace('http', 'ws', 1)}/app/{app.key}?{QUERY}")
    except aiohttp.WSServerHandshakeError as error:
        remedy = _UPGRADE if error.status in (400, 426) else _elsewhere(error.status)
        yield Finding("problem", "websocket", f"no upgrade: {error.status} {error.message}", remedy)
        raise Stop from None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        yield Finding("problem", "websocket", f"no upgrade: {error or 'no answer'}", _UPGRADE)
        raise Stop from None
    async with websocket:
        first = await _next(websocket, lambda _: True)
        if first is None or first.get("event") != "pusher:connection_established":
            data = None if first is None else first.get("data")
            code = data.get("code") if isinstance(data, dict) else None
            said = "nothing" if first is None else json.dumps(data)
            remedy = _REFUSED.get(code, "the message and docs/logging.md say what to do")
            yield Finding("problem", "websocket", f"the server said {said}", remedy)
            raise Stop
        timeout_s = int(loads(first["data"])["activity_timeout"])
        yield Finding("ok", "websocket", f"connected; the server pings after {timeout_s} s of silence")
        yield await _publish(websocket, app, *api)
        if idle:
            yield await _silence(websocket, timeout_s)
        else:
            text = "not tried whether something cuts silent connections"
            yield Finding("skipped", "silence", text, f"--idle tries it, for {timeout_s} s")


async def _publish(websocket: aiohttp.ClientWebSocketResponse, app: App, url: str, unix_socket: str | None) -> Finding:
    channel = f"doctor-{os.urandom(8).hex()}"
    await websocket.send_json({"event": "pusher:subscribe", "data": {"channel": channel}})
    if await _next(websocket, lambda frame: frame.get("event") == "pusher_internal:subscription_succeeded") is None:
        return Finding("problem", "subscribe", "no answer to a subscription", "the log with debug on says why")
    body = orjson.dumps({"name": "doctor", "channels": [channel], "data": "{}"})
    begun = time.perf_counter()
    try:
        headers = {"Content-Type": "application/json"}
        connector = None if unix_socket is None else aiohttp.UnixConnector(unix_socket)
        timeout = aiohttp.ClientTimeout(total=STEP_TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
            session.post(signed_url(app, url, body), data=body, headers=headers) as answer,
        ):
            status, text = answer.status, await _said(answer)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return Finding("problem", "publish", f"no answer: {error}", "does a proxy pass on POST /apps/…?")
    if status != 200:
        remedy = {
            401: "the server has another secret, a clock is wrong, or a proxy changes path, query or body",
            413: "a proxy takes no body of this size (nginx: client_max_body_size)",
        }.get(status, "does a proxy pass on POST /apps/… to the engine, unchanged?")
        return Finding("problem", "publish", f"{status}{text}", remedy)
    if await _next(websocket, lambda frame: frame.get("event") == "doctor") is None:
        remedy = "the request and the client may reach engines that share nothing: give all of them one Redis"
        return Finding("problem", "publish", "taken, but it did not reach a subscriber", remedy)
    return Finding("ok", "publish", f"reached a subscriber after {(time.perf_counter() - begun) * 1000:.0f} ms")


async def _said(answer: aiohttp.ClientResponse) -> str:
    """The beginning of what came with a status; nothing of a page for people."""
    text = await answer.text(errors="replace")
    return "" if text.lstrip()[:1] in ("", "<") else f" {text[:200]}"


def _elsewhere(status: int) -> str:
    """What may be the matter when another than the engine has answered so."""
    if status in (502, 504):
        return "the proxy does not reach the engine: the address that it has for it, and whether it runs there"
    return "something else answers: host, path prefix, routes to /app/…"


async def _silence(websocket: aiohttp.ClientWebSocketResponse, timeout_s: int) -> Finding:
    begun = time.monotonic()
    found = await _next(websocket, lambda frame: frame.get("event") == "pusher:ping", timeout_s + PING_LATE_S)
    took_s = time.monotonic() - begun
    if found is not None:
        return Finding("ok", "silence", f"after {took_s:.0f} s of silence the connection stands and was pinged")
    text = f"a silent connection was cut after {took_s:.0f} s, before the server's ping"
    remedy = (
        "raise a proxy's idle time-out (nginx: proxy_read_timeout, HAProxy: timeout tunnel), or lower activity_timeout"
    )
    return Finding("problem", "silence", text, remedy)


async def _next(
    websocket: aiohttp.ClientWebSocketResponse,
    wanted: Callable[[dict[str, Any]], bool],
    timeout_s: float = STEP_TIMEOUT_S,
) -> dict[str, Any] | None:
    """The next frame that is wanted; None when the connection ends or the time is up first."""
    try:
        async with asyncio.timeout(timeout_s):
            async for message in websocket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    frame = loads(message.data)
                    if isinstance(frame, dict) and wanted(frame):
                        return frame
    except (TimeoutError, ValueError):
        pass
    return None
