"""The HTTP API with everything around it in memory: called directly, or served on a free port of 127.0.0.1."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

from aiohttp import web

from engine._fast.frame import payload_of
from engine._fast.signature import Signer
from engine.app import App
from engine.app_manager import AppManager
from engine.config.limits import RateLimit
from engine.config.server import CorsConfig, HttpApiConfig, IdempotencyConfig
from engine.errors import StoreUnavailable
from engine.history.memory import MemoryHistory
from engine.http.application import Answers, build_api, build_application, build_runner
from engine.http.request import ApiResponse
from engine.interfaces import MemberReport, Message, RateDecision, Report
from engine.metrics.metrics import Metrics
from engine.occupancy.memory import MemoryOccupancy
from engine.occupancy.memory_state import MemoryState
from engine.protocol.address import Networks
from engine.protocol.forwarded import Callers
from engine.publisher import Publisher
from engine.stores.cache_memory import MemoryCache
from engine.stores.idempotency_memory import MemoryAnswers
from engine.stores.rate_limit_memory import MemoryRateLimiter
from tests.support.signing import signed_query

SECRET = "7ad3773142a6692b25b8"
NOW_S = 1_700_000_000


def make_app(app_id: str = "3", key: str = "key", **fields: Any) -> App:
    return App(id=app_id, key=key, secret=SECRET, signer=Signer(SECRET), **fields)


class Reply(NamedTuple):
    status: int
    json: Any
    headers: dict[str, str]


class Adapter:
    """Remembers what was sent: (channel, event, data, excluded socket id)."""

    def __init__(self, history: MemoryHistory) -> None:
        self.history = history
        self.sent: list[tuple[str, str, str, str]] = []
        self.terminated: list[tuple[str, ...]] = []
        self.gone = False
        self.broken = False

    async def publish(self, messages: Sequence[Message]) -> None:
        if self.broken:
            raise RuntimeError("a mistake of ours")
        if self.gone:
            raise StoreUnavailable("gone")
        for app_id, channel, frame, except_socket_id, retention in messages:
            if retention is not None:
                self.history.keep(app_id, channel, retention, frame)
            event = json.loads(payload_of(frame))
            assert event["channel"] == channel
            self.sent.append((channel, event["event"], event["data"], except_socket_id))

    async def terminate(self, app_id: str, user_id: str, *, reconnect: bool = False) -> None:
        if self.gone:
            raise StoreUnavailable("gone")
        self.terminated.append((app_id, user_id, "and back") if reconnect else (app_id, user_id))


class Occupancy(MemoryOccupancy):
    """Can be out of reach, for reads."""

    gone = False

    async def channels(self, app_id: str, prefix: str = "") -> dict[str, int]:
        self._check()
        return await super().channels(app_id, prefix)

    async def counts(self, app_id: str, channels: Sequence[str]) -> list[tuple[int, int]]:
        self._check()
        return await super().counts(app_id, channels)

    async def members(self, app_id: str, channel: str) -> dict[str, str]:
        self._check()
        return await super().members(app_id, channel)

    def _check(self) -> None:
        if self.gone:
            raise StoreUnavailable("gone")


class Limiter(MemoryRateLimiter):
    gone = False

    async def hit(self, key: str, limit: int, window_s: int, cost: int = 1) -> RateDecision:
        if self.gone:
            raise StoreUnavailable("gone")
        return await super().hit(key, limit, window_s, cost)


class Health:
    def __init__(self) -> None:
        self.state = (True, "")

    def ready(self) -> tuple[bool, str]:
        return self.state


class Serving:
    """:param now_s: the clock of signatures; None for the real one (the SDKs read it)."""

    def __init__(
        self,
        *apps: App,
        path_prefix: str = "",
        config: HttpApiConfig | None = None,
        cors: CorsConfig | None = None,
        limit: RateLimit | None = None,
        now_s: float | None = NOW_S,
    ) -> None:
        self.app = apps[0] if apps else make_app()
        self.config = config or HttpApiConfig()
        self.cors = cors or CorsConfig()
        self.limit = limit or RateLimit()
        self.metrics = Metrics()
        self.history = MemoryHistory()
        self.adapter = Adapter(self.history)
        self.cache = MemoryCache(100)
        self.came_and_went = MemoryHistory()
        self.occupancy = Occupancy(MemoryState(lambda change: None, lambda: None), keep=self.came_and_went.keep)
        self.answers = MemoryAnswers()
        self.limiter = Limiter(clock=lambda: NOW_S)
        self.health = Health()
        self.apps = AppManager(apps or (self.app,))
        self.publisher = Publisher(self.adapter, self.cache, self.metrics)  # type: ignore[arg-type]
        self.api = build_api(
            apps=self.apps,
            publisher=self.publisher,
            occupancy=self.occupancy,
            adapter=self.adapter,  # type: ignore[arg-type]
            cache=self.cache,
            history=self.history,
            came_and_went=self.came_and_went,
            limiter=self.limiter,
            answers=self.answers,
            health=self.health,
            metrics=self.metrics,
            path_prefix=path_prefix,
            config=self.config,
            idempotency=IdempotencyConfig(),
            limit=self.limit,
            **({} if now_s is None else {"now_s": lambda: now_s}),  # type: ignore[arg-type]
        )

    # --- without a network

    def call(self, method: str, target: str | bytes, body: bytes = b"", address: str = "") -> ApiResponse:
        """An unsigned request."""
        raw = target.encode() if isinstance(target, str) else target
        return asyncio.run(self.api.handle(method, raw, body, address))

    def signed(self, method: str, path: str, body: Any = b"", app: App | None = None, **params: str) -> Reply:
        """A signed request; a body that is no bytes is sent as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self.call(method, self.target(method, path, raw, app, **params), raw)
        assert answer.content_type == "application/json"
        return Reply(int(answer.status), json.loads(answer.body), dict(answer.headers))

    def target(self, method: str, path: str, body: bytes = b"", app: App | None = None, **params: str) -> str:
        app = app or self.app
        query = signed_query(app.key, app.secret, method, path, body, params, NOW_S)
        return f"{path}?" + "&".join(f"{key}={quote(value)}" for key, value in query.items())

    def occupy(self, channel: str, count: int, *users: str, app: App | None = None) -> None:
        """Put `count` subscriptions and members into a channel."""

        async def report() -> None:
            await self.occupancy.join("w")
            members = tuple(MemberReport(user, 1) for user in users)
            await self.occupancy.report("w", [Report((app or self.app).id, channel, count, members=members)])

        asyncio.run(report())

    # --- over a network

    @asynccontextmanager
    async def served(self, api: Answers | None = None) -> AsyncIterator[int]:
        """Serve it; gives the port. :param api: instead of its own."""
        application = build_application(
            api or self.api, self.config, self.cors, Callers(Networks([]), self.limit.trust_hops)
        )
        runner = build_runner(application, self.metrics)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()


def walked(read: Callable[..., Reply], direction: str) -> tuple[list[int], Any]:
    """The serials of all pages of three, one after the other, and the last page. :param read: takes the query."""
    serials: list[int] = []
    params = {"limit": "3", "direction": direction}
    while True:
        found = read(**params).json
        serials += [item["serial"] for item in found["items"]]
        if not found["has_more"]:
            return serials, found
        params["cursor"] = found["next_cursor"]
