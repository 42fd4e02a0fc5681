"""Publishing once what is sent twice under one idempotency key (H-56).

Called by events.py. A publish without a key costs nothing here.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from engine.app import App
from engine.config.server import IdempotencyConfig
from engine.errors import ApiError, StoreUnavailable
from engine.http.request import ApiRequest, ApiResponse, invalid
from engine.interfaces import IdempotencyStore
from engine.metrics.metrics import Metrics

#: How long a request may be under way before its key is free again: should its worker die, a repetition is no double.
CLAIM_S = 10

_log = logging.getLogger(__name__)


class Idempotency:
    """Remembers the answers to publishes that carry a key."""

    def __init__(self, answers: IdempotencyStore, config: IdempotencyConfig, metrics: Metrics) -> None:
        self._answers = answers
        self._config = config
        self._metrics = metrics.events

    def key(self, request: ApiRequest, in_body: object) -> str:
        """The request's key, by its header or its body; "" for none. Raises ApiError for one that cannot be."""
        key = request.idempotency_key or in_body
        if not key or not self._config.enabled:
            return ""
        longest = self._config.max_key_length
        if not isinstance(key, str) or len(key) > longest:
            raise invalid(f"An idempotency key is a text of at most {longest} characters")
        return key

    async def answer(self, app: App, key: str, publish: Callable[[], Awaitable[ApiResponse]]) -> ApiResponse:
        """The first answer again, or that of `publish`. Raises ApiError 503 while the first request is under way."""
        found = await self._answers.claim(app.id, key, CLAIM_S)
        self._metrics.idempotent.add(1, app.id)
        self._metrics.repeated.add(found is not None, app.id)
        if found:
            return ApiResponse(HTTPStatus.OK, found)
        if found is not None:
            message = "A request with this idempotency key is under way."
            raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "service_unavailable", message, {"Retry-After": "1"})
        try:
            response = await publish()
        except BaseException:
            await self._release(app, key)
            raise
        try:
            await self._answers.keep(app.id, key, response.body, self._config.ttl_seconds)
        except StoreUnavailable as error:
            # It is published, and that is what the caller must hear.
            _log.warning("app %s: an answer was not kept for its idempotency key: %s", app.id, error)
        return response

    async def _release(self, app: App, key: str) -> None:
        """Nothing was published: the same request may be tried again."""
        try:
            await self._answers.release(app.id, key)
        except StoreUnavailable as error:
            _log.debug("an idempotency key stays claimed for %d s: %s", CLAIM_S, error)
