"""The route table of the HTTP API, and the one place where an error becomes an answer.

`application.py` reads requests for aiohttp, the publish fast path for itself; handlers never see which of them did.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import unquote

from engine.config.limits import RateLimit
from engine.errors import ApiError, StoreUnavailable
from engine.http.auth import Access, checked
from engine.http.channels import Channels
from engine.http.events import Events
from engine.http.health import HealthPages
from engine.http.history import History
from engine.http.presence_history import PresenceHistory
from engine.http.request import ApiRequest, ApiResponse, failed
from engine.http.users import UserConnections
from engine.interfaces import RateLimiter
from engine.log.notices import Notices
from engine.metrics.metrics import Metrics

_Handler = Callable[..., Awaitable[ApiResponse]]

_log = logging.getLogger(__name__)


class Api:
    """Answers every request to the HTTP API.

    :param path_prefix: before all routes, "" for none; the pages of health.py are served without it too.
    :param without_prefix: whether all others are as well.
    :param limit: requests of one address, where configured.
    """

    def __init__(
        self,
        access: Access,
        events: Events,
        channels: Channels,
        history: History,
        presence: PresenceHistory,
        users: UserConnections,
        health: HealthPages,
        limiter: RateLimiter,
        metrics: Metrics,
        path_prefix: str,
        limit: RateLimit,
        *,
        without_prefix: bool,
    ) -> None:
        self._access = access
        self._limiter = limiter
        self._metrics = metrics
        self._notices = Notices(_log)
        self._prefix = path_prefix
        self._without_prefix = without_prefix
        self._limit = limit
        self.limits_addresses = limit.enabled and limit.max_requests > 0
        self._signed = _table(
            ("POST", "/apps/{}/events", events.publish),
            ("POST", "/apps/{}/batch_events", events.batch),
            ("GET", "/apps/{}/channels", channels.list),
            ("GET", "/apps/{}/channels/{}", channels.show),
            ("GET", "/apps/{}/channels/{}/users", channels.users),
            ("GET", "/apps/{}/channels/{}/history", history.page),
            ("GET", "/apps/{}/channels/{}/history/state", history.state),
            ("POST", "/apps/{}/channels/{}/history/reset", history.reset),
            ("POST", "/apps/{}/channels/{}/history/purge", history.purge),
            ("GET", "/apps/{}/channels/{}/presence/history", presence.page),
            ("GET", "/apps/{}/channels/{}/presence/history/state", presence.state),
            ("GET", "/apps/{}/channels/{}/presence/history/snapshot", presence.snapshot),
            ("POST", "/apps/{}/channels/{}/presence/history/reset", presence.reset),
            ("POST", "/apps/{}/users/{}/terminate_connections", users.terminate),
            ("POST", "/apps/{}/users/{}/force_reconnect", users.force_reconnect),
            ("POST", "/users/{}/terminate_connections", users.terminate_by_key),
        )
        self._pages = _table(
            ("GET", "/", health.live),
            ("GET", "/live", health.live),
            ("GET", "/ready", health.ready),
            ("GET", "/up", health.up),
            ("GET", "/up/{}", health.app_up),
            ("GET", "/accept-traffic", health.accept_traffic),
            ("GET", "/usage", health.usage),
        )

    async def handle(
        self,
        method: str,
        target: bytes,
        body: bytes,
        address: str = "",
        idempotency_key: str = "",
        traceparent: str = "",
    ) -> ApiResponse:
        """Answer one request. Never raises.

        :param target: the request target as sent, query included.
        :param address: of the caller, for the limit of requests; "" is not limited.
        :param traceparent: as sent, for the spans that are made in front of this (worker/spans.py).
        """
        path, _, query = target.decode("utf-8", "replace").partition("?")
        request = ApiRequest(method, path, query, body, idempotency_key)
        began_s = time.perf_counter()
        try:
            response = await self._route(request, address)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is answered)
            response = self._refusal(request, error)
        self._metrics.http.duration_s.observe(time.perf_counter() - began_s, request.app_id)
        return self._counted(request, len(body), response)

    def is_signed(self, path: str) -> bool:
        """Whether it is a back end's to ask for, and no page of health.py. :param path: as sent, without the query."""
        inner = self._inner(path)
        return inner is not None and (inner.startswith("/apps/") or _find(self._signed, inner) is not None)

    def refuse(self, method: str, target: bytes, body_bytes: int) -> ApiResponse | None:
        """The answer to a signed request of an application that its head alone is enough to refuse, whatever its body
        will say; None for any other. So nobody need keep the bodies of strangers.

        :param body_bytes: how long the body is going to be. :param target: as with `handle`.
        """
        path, _, query = target.decode("utf-8", "replace").partition("?")
        request = ApiRequest(method, path, query, b"")
        inner = self._inner(path)
        found = _find(self._signed, inner) if inner is not None else None
        if found is None or method not in found[0] or inner is None or not inner.startswith("/apps/"):
            return None
        try:
            self._access.check_head(request, found[1][0])
        except Exception as error:  # noqa: BLE001 (as in handle)
            return self._counted(request, body_bytes, self._refusal(request, error))
        return None

    def untaken(self, app_id: str, body_bytes: int, duration_s: float, error: Exception) -> ApiResponse:
        """The answer to a publish that C has read and that other workers will not all get. Counted as all are.

        :param error: what the adapter raised."""
        request = ApiRequest("POST", f"/apps/{app_id}/events", "", b"")
        request.app_id = app_id
        self._metrics.http.duration_s.observe(duration_s, app_id)
        return self._counted(request, body_bytes, self._refusal(request, error))

    def refused(self, error: ApiError) -> ApiResponse:
        """The answer to a request that is refused before it is looked at. Counted as all are."""
        return self._counted(ApiRequest("", "", "", b""), 0, failed(error))

    def _counted(self, request: ApiRequest, received_bytes: int, response: ApiResponse) -> ApiResponse:
        counted = self._metrics.http
        counted.calls.add(1, request.app_id)
        counted.received_bytes.add(received_bytes, request.app_id)
        counted.sent_bytes.add(len(response.body), request.app_id)
        if response.status >= HTTPStatus.BAD_REQUEST:
            counted.errors.add(1, request.app_id, str(int(response.status)))
        return response

    async def _route(self, request: ApiRequest, address: str) -> ApiResponse:
        inner = self._inner(request.path)
        found = _find(self._signed, inner) if inner is not None else None
        if found is not None and address and self.limits_addresses and request.method != "OPTIONS":
            await self._count_address(address)
        if found is None:
            found = _find(self._pages, inner if inner is not None else request.path)
        if found is None:
            raise ApiError(HTTPStatus.NOT_FOUND, "not_found", "There is nothing at this path.")
        methods, names = found
        handler = methods.get(request.method)
        if handler is not None:
            return await handler(request, *names)
        allow = ", ".join((*methods, "OPTIONS"))
        if request.method == "OPTIONS":
            return ApiResponse(HTTPStatus.NO_CONTENT, b"", (("Allow", allow),))
        message = f"This path takes {allow} only."
        raise ApiError(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", message, {"Allow": allow})

    def _refusal(self, request: ApiRequest, error: Exception) -> ApiResponse:
        app = request.app_id or "(unknown)"
        if isinstance(error, ApiError):
            _log.debug("app %s: %s %s is refused: %s", app, request.method, request.path, error.in_short)
            self._notices.refused(app, "a request", error)
            return failed(error)
        if isinstance(error, StoreUnavailable):
            _log.debug("%s refused: %s", request.path, error)
            message = "Shared state cannot be reached now."
            return failed(ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "service_unavailable", message))
        # A mistake of ours is answered, and logged now and then: the back end may make it as often as it likes.
        self._notices.note(logging.ERROR, f"{app} {type(error).__name__}", f"a request for app {app} failed", error)
        return failed(ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "Internal server error."))

    def _inner(self, path: str) -> str | None:
        """The path without the prefix; None when it must have it and has not.

        Slashes before it and behind it may be doubled, which libraries do whose base path ends in one. Elsewhere there
        is an empty name between two.
        """
        if path.startswith("//"):
            path = "/" + path.lstrip("/")
        if path.startswith(self._prefix):
            inner = path[len(self._prefix) :]
            if inner.startswith("/") or not inner:
                return "/" + inner.lstrip("/")
        return path if self._without_prefix else None

    async def _count_address(self, address: str) -> None:
        limit = self._limit
        try:
            decision = await self._limiter.hit(f"address:{address}", limit.max_requests, limit.window_seconds)
        except StoreUnavailable:
            return  # a limit that cannot be counted stops nobody
        self._metrics.limits.checked.add(1, "", "address", "http")
        self._metrics.limits.triggered.add(not decision.allowed, "", "address", "http")
        checked(decision)


class _Route:
    """Paths of one shape and what each method does with them."""

    __slots__ = ("methods", "names", "words")

    def __init__(self, pattern: str) -> None:
        segments = pattern.split("/")
        self.words = tuple((index, word) for index, word in enumerate(segments) if word != "{}")
        self.names = tuple(index for index, word in enumerate(segments) if word == "{}")
        self.methods: dict[str, _Handler] = {}


#: Number of segments -> routes.
_Table = dict[int, list[_Route]]


def _table(*routes: tuple[str, str, _Handler]) -> _Table:
    table: _Table = {}
    for method, pattern, handler in routes:
        route = _Route(pattern)
        route.methods[method] = handler
        if method == "GET":
            route.methods["HEAD"] = handler  # refused by the signature where one is needed
        table.setdefault(pattern.count("/"), []).append(route)
    return table


def _find(table: _Table, path: str) -> tuple[dict[str, _Handler], list[str]] | None:
    """The methods of the route that the path fits, and the names in it, decoded."""
    segments = path.split("/")
    for route in table.get(len(segments) - 1, ()):
        for index, word in route.words:
            if segments[index] != word:
                break
        else:
            try:
                return route.methods, [unquote(segments[index], errors="strict") for index in route.names]
            except UnicodeDecodeError:
                return None
    return None
