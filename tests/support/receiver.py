"""A webhook endpoint that records what it gets and answers as it is told, in a thread of its own.

Used by tests as ``with WebhookReceiver() as receiver`` or through the fixture `receiver`.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

from tests.support.signing import sign
from tests.support.waiting import PATIENCE_S, wait_until

#: A status code; or keep the sender waiting; or close the connection without an answer. Or take the request, and then
#: close without an answer, or in the middle of a 200.
Answer = int | Literal["hang", "drop", "deaf", "break"]


@dataclass(frozen=True, slots=True)
class Received:
    """One request. `headers` has lower-case names; `at` is time.monotonic() on arrival; `answer` what it was told."""

    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    answer: Answer

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value

    @property
    def accepted(self) -> bool:
        """Whether the application has taken it, whatever the sender came to know of that."""
        return 200 <= self.answer < 300 if isinstance(self.answer, int) else self.answer in ("deaf", "break")

    @property
    def events(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = self.json["events"]
        return events

    def signed_with(self, secret: str, prefix: str = "sha256=") -> bool:
        """Whether the signature header is `prefix` and the digest of exactly these bytes."""
        return self.headers.get("x-pusher-signature") == prefix + sign(secret, self.body)


class WebhookReceiver:
    """Answers 200 unless told otherwise. Attributes may be read from any thread."""

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self.requests: list[Received] = []
        self.url = ""
        self._ssl = ssl_context
        self._always: dict[str, Answer | Callable[[], Answer]] = {}
        self._next: dict[str, deque[Answer]] = {}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="webhook-receiver")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    def answer(self, *answers: Answer, path: str = "/", always: Answer | Callable[[], Answer] | None = None) -> None:
        """Give the next requests to `path` these answers, in order; after them `always`, 200 by default.

        :param always: may be a function, which is called in the receiver's thread for each request.
        """
        self._next[path] = deque(answers)
        if always is not None:
            self._always[path] = always

    def to(self, path: str = "/") -> list[Received]:
        """Requests to one path so far, in order of arrival."""
        return [request for request in list(self.requests) if request.path == path]

    def events(self, path: str = "/", channel: str | None = None) -> list[dict[str, Any]]:
        """Events of all accepted requests to one path, in order of arrival."""
        return [
            event
            for request in self.to(path)
            if request.accepted
            for event in request.events
            if channel is None or event["channel"] == channel
        ]

    def names(self, path: str = "/", channel: str | None = None) -> list[str]:
        """Names of `events`."""
        return [event["name"] for event in self.events(path, channel)]

    def handled(self, path: str = "/", channel: str | None = None) -> list[str]:
        """Names of the events of an application that knows each X-Webhook-Id again and handles it once."""
        first: dict[str, Received] = {}
        for request in self.to(path):
            if request.accepted:
                first.setdefault(request.headers["x-webhook-id"], request)
        events = [event for request in first.values() for event in request.events]
        return [event["name"] for event in events if channel is None or event["channel"] == channel]

    def wait_for_names(
        self, expected: Sequence[str], path: str = "/", channel: str | None = None, timeout_s: float = PATIENCE_S
    ) -> list[dict[str, Any]]:
        """Wait until exactly these events have come, in this order; returns them."""
        wait_until(
            lambda: self.names(path, channel) == list(expected),
            timeout_s,
            lambda: f"{expected} of {channel}, got {self.names(path, channel)}",
        )
        return self.events(path, channel)

    def start(self) -> None:
        self._thread.start()
        if not self._ready.wait(10):
            raise AssertionError("the webhook receiver did not start")

    def stop(self) -> None:
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)

    def __enter__(self) -> WebhookReceiver:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._ssl).start()
        self.url = f"{'https' if self._ssl else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._stopping.wait()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        assert self._stopping is not None
        body, planned = await request.read(), self._next.get(request.path)
        always = self._always.get(request.path, 200)
        answer = planned.popleft() if planned else always() if callable(always) else always
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append(Received(request.path, request.query_string, headers, body, time.monotonic(), answer))
        if answer == "hang":
            await self._stopping.wait()
        if answer == "break":
            broken = web.StreamResponse(headers={"Content-Length": "100"})
            await broken.prepare(request)
            await broken.write(b"tak")
        if isinstance(answer, int):
            return web.Response(status=answer, headers={"Location": "/moved"} if 300 <= answer < 400 else None)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
