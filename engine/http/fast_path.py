"""Publishes without aiohttp: whole HTTP answers for `_fast/http_publish.pyx`, by the same `Api` that aiohttp asks.

Plain publishes never come here; they are answered by `_fast/plain_publish.pyx` with what `usual` gives.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from engine._fast.http_publish import PublishServer
from engine._fast.plain_publish import PlainPublisher
from engine._fast.sampler import Sampler
from engine.config.server import CorsConfig
from engine.errors import ApiError
from engine.http.cors import Cors
from engine.http.request import ApiResponse, failed
from engine.http.routes import Api

_PHRASES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_USUAL = ApiResponse(HTTPStatus.OK, b"{}")

Serve = Callable[[Coroutine[Any, Any, None], str, Callable[[], None]], object]


class FastPath:
    """Serves connections that begin with a publish; their requests have no Origin.

    :param plain: publishes what is plain without Python, where that is possible.
    :param serve: runs what answers the others (`tasks.serve`).
    """

    def __init__(
        self,
        api: Api,
        cors: CorsConfig,
        plain: PlainPublisher | None,
        serve: Serve,
        path_prefix: str,
        max_body_bytes: int,
    ) -> None:
        self._api = api
        self._plain = plain
        self._serve = serve
        self._prefix = path_prefix
        self._max_body_bytes = max_body_bytes
        fixed = [("Server", "engine"), *Cors(cors).headers(None, "POST")]
        self._fixed = "".join(f"{name}: {value}\r\n" for name, value in fixed)
        self._date = ""
        self._date_s = 0
        #: Every answer asks the client to end its connection (RFC 9112, 9.6), which would otherwise be cut off soon,
        #: perhaps with a request under way.
        self.last_answers = False
        self._servers: list[PublishServer] = []
        self._watching: set[str] = set()
        self._sampler: Sampler | None = None

    def start(self, elsewhere: Callable[[Any, bytes, str | None], None]) -> PublishServer:
        """:param elsewhere: takes connections over on which something else is asked for."""
        server = PublishServer(
            self._plain,
            self._answer,
            self._refuse,
            self._usual,
            self._late,
            self._untaken,
            elsewhere,
            self._serve,
            asyncio.get_running_loop(),
            self._prefix,
            self._max_body_bytes,
        )
        self._servers.append(server)
        server.sampler = self._sampler
        self._choose()
        return server

    def sample(self, sampler: Sampler) -> None:
        """Have spans made of some publishes. To be called before `start`."""
        self._sampler = sampler
        sampler.answer = self._answer
        self._choose()

    def watch(self, active: bool, who: str = "console") -> None:
        """Somebody looks on, or does not any more. What C publishes by itself nobody sees. :param who: of several."""
        (self._watching.add if active else self._watching.discard)(who)
        self._choose()

    def _choose(self) -> None:
        """Who publishes what is plain."""
        plain = None if self._watching else self._plain
        if self._sampler is not None:
            # A span that ends with Redis' answer is made by who waits for that.
            sampled = None if plain is not None and plain.awaited is not None else plain
            self._sampler.plain, plain = sampled, None
        for server in self._servers:
            server.plain = plain

    async def _answer(self, target: bytes, body: bytes, caller: bytes = b"") -> bytes:
        return self._whole(await self._api.handle("POST", target, body, "", "", caller.decode("latin-1")))

    def _refuse(self, target: bytes, body_bytes: int) -> bytes | None:
        refusal = self._api.refuse("POST", target, body_bytes)
        return None if refusal is None else self._whole(refusal)

    def _usual(self) -> bytes:
        return self._whole(_USUAL)

    def _late(self) -> bytes:
        return self._whole(failed(ApiError(HTTPStatus.REQUEST_TIMEOUT, "invalid_input", "The body took too long.")))

    def _untaken(self, app_id: str, body_bytes: int, duration_s: float, error: Exception) -> bytes:
        return self._whole(self._api.untaken(app_id, body_bytes, duration_s, error))

    def _whole(self, response: ApiResponse) -> bytes:
        now_s = int(time.time())
        if now_s != self._date_s:
            self._date_s, self._date = now_s, formatdate(now_s, usegmt=True)
        extra = "".join([f"{name}: {value}\r\n" for name, value in response.headers]) if response.headers else ""
        if self.last_answers:
            extra += "Connection: close\r\n"
        head = (
            f"{_PHRASES[response.status]}Content-Type: {response.content_type}\r\n{self._fixed}{extra}"
            f"Content-Length: {len(response.body)}\r\nDate: {self._date}\r\n\r\n"
        )
        return head.encode("latin-1") + response.body
