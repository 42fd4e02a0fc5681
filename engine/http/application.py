"""The HTTP API as an aiohttp application: reads a request, has `routes.Api` answer it, writes the answer.

What is particular to aiohttp stays here and in `connection.py`; it decides no rule of the protocol.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from engine.app_manager import AppManager
from engine.config.limits import RateLimit
from engine.config.server import CorsConfig, HttpApiConfig, IdempotencyConfig
from engine.errors import ApiError
from engine.http.auth import Access
from engine.http.channels import Channels
from engine.http.connection import HttpConnection, connection_options, head_too_long
from engine.http.cors import Cors
from engine.http.events import Events
from engine.http.health import Health, HealthPages
from engine.http.history import History
from engine.http.idempotency import Idempotency
from engine.http.presence_history import PresenceHistory
from engine.http.request import ApiResponse, failed, invalid
from engine.http.routes import Api
from engine.http.users import UserConnections
from engine.interfaces import Adapter, CacheStore, HistoryStore, IdempotencyStore, OccupancyStore, RateLimiter
from engine.metrics.metrics import Metrics
from engine.protocol.address import of_peer
from engine.protocol.forwarded import Callers
from engine.publisher import Publisher
from engine.tasks import within

#: Bodies up to this size are read even if their request is refused.
SMALL_BODY_BYTES = 16 * 1024
#: A caller has this long to send its whole body.
BODY_TIMEOUT_S = 30.0
#: A request that is not answered so long after the drain began is cut off.
SHUTDOWN_TIMEOUT_S = 5.0


class Answers(Protocol):
    """What answers requests: `routes.Api`, or `public.PublicApi` in front of it. Their words explain the methods."""

    @property
    def limits_addresses(self) -> bool: ...

    async def handle(
        self,
        method: str,
        target: bytes,
        body: bytes,
        address: str = "",
        idempotency_key: str = "",
        traceparent: str = "",
    ) -> ApiResponse: ...

    def refuse(self, method: str, target: bytes, body_bytes: int) -> ApiResponse | None: ...

    def refused(self, error: ApiError) -> ApiResponse: ...


def build_api(
    *,
    apps: AppManager,
    publisher: Publisher,
    occupancy: OccupancyStore,
    adapter: Adapter,
    cache: CacheStore,
    history: HistoryStore,
    came_and_went: HistoryStore,
    limiter: RateLimiter,
    answers: IdempotencyStore,
    health: Health,
    metrics: Metrics,
    path_prefix: str,
    config: HttpApiConfig,
    idempotency: IdempotencyConfig,
    limit: RateLimit,
    now_s: Callable[[], float] = time.time,
) -> Api:
    """All endpoints.

    :param came_and_went: changes of members that are kept.
    :param limit: requests of one address (`rate_limiter.api_rate_limit`).
    """
    access = Access(apps, limiter, metrics, path_prefix, now_s)
    return Api(
        access,
        Events(access, publisher, occupancy, Idempotency(answers, idempotency, metrics)),
        Channels(access, occupancy, cache),
        History(access, history),
        PresenceHistory(access, came_and_went, occupancy),
        UserConnections(access, adapter),
        HealthPages(apps, health, config),
        limiter,
        metrics,
        path_prefix,
        limit,
        without_prefix=config.without_prefix,
    )


def build_application(api: Answers, config: HttpApiConfig, cors: CorsConfig, callers: Callers) -> web.Application:
    """Every path and method leads to `api`, except routes that are added later.

    :param callers: says whose request it is.
    """
    application = web.Application(client_max_size=config.request_limit_bytes)
    shell = _Shell(api, config, Cors(cors), callers)
    application.router.add_route("*", r"/{path:[\s\S]*}", shell.serve, expect_handler=shell.expect)
    return application


def build_runner(application: web.Application, metrics: Metrics) -> web.AppRunner:
    """The application with the settings that it needs of aiohttp's server."""
    options = connection_options(metrics)
    return web.AppRunner(application, handle_signals=False, shutdown_timeout=SHUTDOWN_TIMEOUT_S, **options)


class _Shell:
    """Between aiohttp's requests and the API's calls."""

    def __init__(self, api: Answers, config: HttpApiConfig, cors: Cors, callers: Callers) -> None:
        self._api = api
        self._limit_bytes = config.request_limit_bytes
        self._head_limit_bytes = config.request_head_limit_bytes
        self._cors = cors
        self._callers = callers

    async def serve(self, request: web.Request) -> web.Response:
        refusal = self._refusal_of_head(request)
        if refusal is not None:
            return refusal
        try:
            body = await self._body(request)
        except ApiError as error:
            return self._last_response(request, failed(error))  # what is left of the body is not worth reading
        key = request.headers.get("X-Idempotency-Key", "")
        caller = request.headers.get("traceparent", "")
        answer = await self._api.handle(request.method, _target(request), body, self._address(request), key, caller)
        response = self._response(request, answer)
        if isinstance(request.protocol, HttpConnection) and request.protocol.last:
            response.force_close()
        return response

    async def expect(self, request: web.Request) -> web.Response | None:
        """Expect: 100-continue is answered so; RFC 9110, 10.1.1 has 417 for anything else."""
        if request.headers.get("Expect", "").lower() == "100-continue":
            refusal = self._refusal_of_head(request)
            if refusal is not None:
                return refusal
            if (request.content_length or 0) <= self._limit_bytes:
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                # aiohttp takes what has been written for a started answer.
                request.writer.output_size = 0
            return None
        error = ApiError(HTTPStatus.EXPECTATION_FAILED, "invalid_input", "Only 100-continue may be expected.")
        return self._last_response(request, failed(error))

    def _refusal_of_head(self, request: web.Request) -> web.Response | None:
        """The answer to a request that its head alone is enough to refuse, before any body is kept."""
        size = len(request.raw_path) + sum(len(name) + len(value) + 4 for name, value in request.raw_headers)
        if size > self._head_limit_bytes:
            answer = self._api.refused(head_too_long(self._head_limit_bytes))
            return self._last_response(request, answer)
        size = self._limit_bytes if request.content_length is None else request.content_length
        # A small body is read, so that the connection can be kept; `_body` refuses one that is too large.
        if not request.can_read_body or not SMALL_BODY_BYTES < size <= self._limit_bytes:
            return None
        if self._api.limits_addresses:
            return None  # each request is counted first, where all are answered
        refusal = self._api.refuse(request.method, _target(request), request.content_length or 0)
        return None if refusal is None else self._last_response(request, refusal)

    async def _body(self, request: web.Request) -> bytes:
        """The body as sent. Raises ApiError; ConnectionError when the caller has gone."""
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            message = "Bodies must not be compressed."
            raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "invalid_input", message)
        try:
            if (request.content_length or 0) > self._limit_bytes:
                raise self._too_large()
            if not request.can_read_body:
                return b""
            async with within(BODY_TIMEOUT_S):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise self._too_large() from None
        except TimeoutError:
            raise ApiError(HTTPStatus.REQUEST_TIMEOUT, "invalid_input", "The body took too long.") from None
        except (web.RequestPayloadError, HttpProcessingError) as problem:
            raise invalid("The body cannot be read.") from problem

    def _too_large(self) -> ApiError:
        message = f"The body exceeds the allowed maximum ({self._limit_bytes} bytes)."
        return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "payload_too_large", message)

    def _address(self, request: web.Request) -> str:
        if not self._api.limits_addresses:
            return ""
        connection, transport = request.protocol, request.transport
        source = connection.source if isinstance(connection, HttpConnection) else None
        if source is None:
            source = of_peer(None if transport is None else transport.get_extra_info("peername"))
        return self._callers.address(source, request.headers)

    def _last_response(self, request: web.Request, answer: ApiResponse) -> web.Response:
        response = self._response(request, answer)
        response.force_close()
        return response

    def _response(self, request: web.Request, answer: ApiResponse) -> web.Response:
        response = web.Response(status=int(answer.status), body=answer.body or None, content_type=answer.content_type)
        headers = response.headers
        headers["Server"] = "engine"
        headers.extend(answer.headers)
        headers.extend(self._cors.headers(request.headers.get("Origin"), request.method))
        return response


def _target(request: web.Request) -> bytes:
    """The request target as bytes; a proxy may send it with scheme and authority (RFC 9112, 3.2.2)."""
    target = request.raw_path.encode("utf-8", "surrogateescape")
    if target.startswith(b"/"):
        return target
    _, _, rest = target.partition(b"://")
    _, slash, path = rest.partition(b"/")
    return slash + path
