"""Publishing once what is sent twice under one idempotency key (H-56).

A publish without a key costs nothing here.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

from engine.app import App
from engine.config.server import IdempotencyConfig
from engine.errors import ApiError, StoreUnavailable
from engine.http.request import ApiResponse, invalid
from engine.interfaces import IdempotencyStore
from engine.metrics.metrics import Metrics

#: How long a request may be under way before its key is free again: should its worker die, a repetition is no double.
CLAIM_S = 10

#: One JSON object for each event.
Answers = list[bytes]

_log = logging.getLogger(__name__)


class Idempotency:
    """Remembers the answers to publishes that carry a key."""

    def __init__(self, answers: IdempotencyStore, config: IdempotencyConfig, metrics: Metrics) -> None:
        self._answers = answers
        self._config = config
        self._metrics = metrics.events

    def key(self, *given: object) -> str:
        """The first of these that is one; "" for none. Raises ApiError for one that cannot be."""
        key = next(filter(None, given), None)
        if not key or not self._config.enabled:
            return ""
        longest = self._config.max_key_length
        if not isinstance(key, str) or len(key) > longest:
            raise invalid(f"An idempotency key is a text of at most {longest} characters")
        return key

    async def answer(self, app: App, key: str, publish: Callable[[], Awaitable[ApiResponse]]) -> ApiResponse:
        """The first answer again, or that of `publish`. Raises ApiError 503 while the first request is under way."""
        found = await self._claim(app, key)
        if found is not None:
            return ApiResponse(HTTPStatus.OK, found)
        try:
            response = await publish()
        except BaseException:
            await self._release(app, key)
            raise
        await self._keep(app, key, response.body)
        return response

    async def answer_each(
        self, app: App, keys: Sequence[str], publish: Callable[[list[int]], Awaitable[Answers]]
    ) -> Answers:
        """The answers to the events of a batch: those of before, and for the others what `publish` gives.

        :param keys: of each event, "" for none. Of two with one key the first counts.
        :param publish: called with the events that are new, and answers each of them. All or nothing.
        Raises ApiError 503, with nothing published, while the first request with one of the keys is under way.
        """
        first = {key: index for index, key in reversed([*enumerate(keys)]) if key}
        found: dict[int, bytes] = {}
        ours: list[str] = []
        try:
            for key, index in sorted(first.items(), key=lambda item: item[1]):
                answer = await self._claim(app, key)
                if answer is None:
                    ours.append(key)
                else:
                    found[index] = answer
            new = [index for index, key in enumerate(keys) if first.get(key, index) == index and index not in found]
            found.update(zip(new, await publish(new), strict=True))
        except BaseException:
            for key in ours:
                await self._release(app, key)
            raise
        for key in ours:
            await self._keep(app, key, found[first[key]])
        return [found[first.get(key, index)] for index, key in enumerate(keys)]

    async def _claim(self, app: App, key: str) -> bytes | None:
        """The answer of before; None when the key is ours now. Raises ApiError 503 while it is another's."""
        found = await self._answers.claim(app.id, key, CLAIM_S)
        self._metrics.idempotent.add(1, app.id)
        self._metrics.repeated.add(found is not None, app.id)
        if found == b"":
            message = "A request with this idempotency key is under way."
            raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "service_unavailable", message, {"Retry-After": "1"})
        return found

    async def _keep(self, app: App, key: str, answer: bytes) -> None:
        try:
            await self._answers.keep(app.id, key, answer, self._config.ttl_seconds)
        except StoreUnavailable as error:
            # It is published, and that is what the caller must hear.
            _log.warning("app %s: an answer was not kept for its idempotency key: %s", app.id, error)

    async def _release(self, app: App, key: str) -> None:
        """Nothing was published: the same request may be tried again."""
        try:
            await self._answers.release(app.id, key)
        except StoreUnavailable as error:
            _log.debug("an idempotency key stays claimed for %d s: %s", CLAIM_S, error)
