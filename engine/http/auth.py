"""Who may call: the app of a request, its signature, and how often it may do so.

Comes first in every signed endpoint; it never logs a signature or a secret.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from engine._fast.request import signed_plainly
from engine.app import App
from engine.app_manager import AppManager
from engine.errors import ApiError, StoreUnavailable
from engine.http.request import ApiRequest, Headers
from engine.interfaces import RateDecision, RateLimiter
from engine.metrics.metrics import Metrics
from engine.protocol.api_auth import TIMESTAMP_WINDOW_S, refused, verify_head, verify_request

_UNKNOWN_ID = "`python -m engine apps` shows the applications that are known."


class Access:
    """Checks requests for all apps.

    :param path_prefix: of all routes; "" for none. A request may be signed without it (H-5).
    :param now_s: seconds since the epoch.
    """

    def __init__(
        self, apps: AppManager, limiter: RateLimiter, metrics: Metrics, path_prefix: str, now_s: Callable[[], float]
    ) -> None:
        self._apps = apps
        self._limiter = limiter
        self._metrics = metrics.limits
        self._prefix = path_prefix
        self._now_s = now_s

    def app(self, request: ApiRequest, app_id: str) -> App:
        """The app of the path, if the request is signed with its secret. Raises ApiError (H-31 to H-36, H-46)."""
        return self._verified(request, self._app(app_id))

    def check_head(self, request: ApiRequest, app_id: str) -> None:
        """All that `app` checks and that needs no body. Raises the same."""
        app = self._app(app_id)
        request.app_id = app.id
        verify_head(app, request.method, request.path, self._prefix, request.query, self._now_s())

    def app_of_key(self, request: ApiRequest) -> App:
        """The same where the path does not name the app, only `auth_key` does (H-30)."""
        if self._apps.stale:
            raise StoreUnavailable("the applications are not known well enough")
        app = self._apps.by_key(request.query.get("auth_key") or "")
        if app is None:
            raise refused("Unknown auth_key", remedy=_UNKNOWN_ID)
        return self._verified(request, app)

    async def count_events(self, app: App, count: int) -> Headers:
        """Take `count` from what the app may publish in a second. Raises ApiError 429 (H-47)."""
        return await self._limit(app, app.max_backend_events_per_second, "backend", count)

    async def count_read(self, app: App) -> Headers:
        """The same for a read request."""
        return await self._limit(app, app.max_read_requests_per_second, "read", 1)

    def _app(self, app_id: str) -> App:
        if self._apps.stale:
            raise StoreUnavailable("the applications are not known well enough")
        app = self._apps.by_id(app_id)
        if app is None:
            raise ApiError(
                HTTPStatus.NOT_FOUND, "app_not_found", f"The app {app_id[:128]} could not be found.", remedy=_UNKNOWN_ID
            )
        return app

    def _verified(self, request: ApiRequest, app: App) -> App:
        request.app_id = app.id
        method, path, query, now_s = request.method, request.path, request.raw_query, self._now_s()
        if not signed_plainly(
            app.signer, app.key, method.encode(), path.encode(), query.encode(), request.body, now_s, TIMESTAMP_WINDOW_S
        ):
            verify_request(app, method, path, self._prefix, request.query, request.body, now_s)
        if not app.enabled:
            raise ApiError(HTTPStatus.FORBIDDEN, "forbidden", "The app is not enabled.")
        return app

    async def _limit(self, app: App, limit: int, what: str, cost: int) -> Headers:
        if not limit:
            return ()
        try:
            decision = await self._limiter.hit(f"app:{app.id}:{what}", limit, 1, cost)
        except StoreUnavailable:
            return ()  # a limit that cannot be counted stops nobody
        self._metrics.checked.add(1, app.id, what, "http")
        self._metrics.triggered.add(not decision.allowed, app.id, what, "http")
        return checked(decision)


def checked(decision: RateDecision) -> Headers:
    """The headers of an allowed request (H-52). Raises ApiError 429 for one that is not."""
    headers = {"X-RateLimit-Limit": str(decision.limit), "X-RateLimit-Remaining": str(decision.remaining)}
    if decision.allowed:
        return tuple(headers.items())
    headers["Retry-After"] = str(decision.retry_after_s)
    raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, "rate_limited", "Too many requests.", headers)
