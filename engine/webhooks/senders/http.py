"""Webhooks over HTTP: one signed POST, and its failure in one line.

Never retries, never follows a redirect, keeps no cookie, reads no proxy setting.
"""

from __future__ import annotations

import os

import aiohttp
from yarl import URL

from engine.app import App, Endpoint, HttpTarget
from engine.errors import DeliveryError
from engine.interfaces import Job
from engine.webhooks.senders.headers import request_headers
from engine.webhooks.senders.resolver import BoundedResolver, PrivateTarget, public_socket, refuse_private

HEADERS = {"Accept": "application/json", "User-Agent": "engine-webhooks"}
#: Of an answer's body so much is read, to use the connection again; after a longer one the connection is closed.
MAX_BODY_BYTES = 64 * 1024
#: Of an answer's status line and of each of its headers; an endpoint that says 200 with long ones has taken the event.
MAX_LINE_BYTES = 64 * 1024
#: Shorter than the 5 s after which common servers close an idle connection, so that none is closed under a request.
KEEPALIVE_S = 4.0


class HttpSender:
    """A `WebhookSender` for endpoints with a URL.

    :param allow_private_targets: False refuses addresses that are not public, at the moment of connecting.
    """

    def __init__(self, *, allow_private_targets: bool = True) -> None:
        self._allow_private_targets = allow_private_targets
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        # Without limits: the delivery has its own, for each endpoint, and one endpoint must not use up another's.
        connector = aiohttp.TCPConnector(
            limit=0,
            resolver=BoundedResolver(public_only=not self._allow_private_targets),
            ttl_dns_cache=10,
            keepalive_timeout=KEEPALIVE_S,
            socket_factory=None if self._allow_private_targets else public_socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            skip_auto_headers=("Accept-Encoding",),
        )

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, app: App, endpoint: Endpoint, job: Job) -> str:
        assert self._session is not None and isinstance(endpoint.target, HttpTarget)
        body = job.body.encode()
        try:
            url = _as_written(endpoint.target.url)
            if not self._allow_private_targets:
                refuse_private(url.host or "")
            async with self._session.post(
                url,
                data=body,
                headers=request_headers(app, endpoint, job, body, HEADERS),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=endpoint.timeout_s),
            ) as response:
                status = response.status
                await _discard(response)
        except Exception as error:
            raise DeliveryError(_reason(error, endpoint.timeout_s)) from error
        if not 200 <= status <= 299:
            raise DeliveryError(f"status {status}" + (", redirects are not followed" if 300 <= status <= 399 else ""))
        return f"status {status}"


def _as_written(text: str) -> URL:
    """Nothing is decoded or folded, for an address may be signed. What is not ASCII has to be encoded."""
    return URL(text, encoded=text.isascii())


async def _discard(response: aiohttp.ClientResponse) -> None:
    """Read a short body away. The status has been given: what becomes of the body changes nothing (W-8)."""
    try:
        left = MAX_BODY_BYTES
        while left > 0 and (data := await response.content.read(left)):
            left -= len(data)
    except (aiohttp.ClientError, TimeoutError, OSError):
        left = 0
    if left <= 0:
        response.close()


def _reason(error: Exception, timeout_s: float) -> str:
    match error:
        case PrivateTarget():
            return str(error)
        case aiohttp.ClientConnectorError() if isinstance(error.os_error, PrivateTarget):
            return str(error.os_error)
        case aiohttp.ServerTimeoutError() | TimeoutError():
            return f"no answer within {timeout_s:g} s"
        case aiohttp.ClientConnectorCertificateError():
            return f"TLS: {error.certificate_error}"
        case aiohttp.ClientSSLError():
            return f"TLS: {error.os_error}"
        case aiohttp.ClientConnectorDNSError():
            return f"cannot find {error.host}: {error.os_error}"
        case aiohttp.ClientConnectorError():
            return f"cannot connect: {_plain(error.os_error)}"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return "connection closed before an answer"
        case aiohttp.ClientResponseError():
            return f"no HTTP answer: {error.message.partition(chr(10))[0]}"
        case aiohttp.InvalidURL():
            # Its text would show the whole URL, in which there may be a password.
            return "the URL cannot be used"
        case aiohttp.ClientError() | OSError() | ValueError():
            return f"{type(error).__name__}: {error}"
        case _:
            raise error


def _plain(error: OSError) -> str:
    # asyncio writes "Connect call failed" and the address in place of the reason.
    return os.strerror(error.errno) if error.errno else str(error)
