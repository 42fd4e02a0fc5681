"""Whole HTTP answers for the publish fast path: the same `Api` answers, without aiohttp around it."""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus

from engine.config.server import CorsConfig
from engine.http.cors import Cors
from engine.http.routes import Api

_PHRASES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class Publishing:
    """Called by `_fast/http_publish.pyx` with requests that have no Origin."""

    def __init__(self, api: Api, cors: CorsConfig) -> None:
        self._api = api
        fixed = [("Server", "engine"), *Cors(cors).headers(None, "POST")]
        self._fixed = "".join(f"{name}: {value}\r\n" for name, value in fixed)
        self._date = ""
        self._date_s = 0

    async def answer(self, target: bytes, body: bytes) -> bytes:
        """Answer one POST; never raises."""
        answer = await self._api.handle("POST", target, body)
        now_s = int(time.time())
        if now_s != self._date_s:
            self._date_s, self._date = now_s, formatdate(now_s, usegmt=True)
        extra = "".join([f"{name}: {value}\r\n" for name, value in answer.headers]) if answer.headers else ""
        head = (
            f"{_PHRASES[answer.status]}Content-Type: {answer.content_type}\r\n{self._fixed}{extra}"
            f"Content-Length: {len(answer.body)}\r\nDate: {self._date}\r\n\r\n"
        )
        return head.encode("latin-1") + answer.body
