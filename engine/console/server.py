"""The console over HTTP: its page to everybody, everything else to those with a session only.

Each answer forbids the browser whatever the page does not need. No token ever stands in an address, and no request
changes anything without the session's own CSRF token.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from engine.console.audit import caller
from engine.console.sessions import Session, Sessions, TooManyAttempts
from engine.errors import ApiError, EngineError
from engine.protocol.address import of_peer
from engine.protocol.forwarded import Callers
from engine.tasks import within

COOKIE = "engine_console"
CSRF_HEADER = "X-CSRF-Token"
#: Of a request, which may carry an event of an application.
MAX_BODY_BYTES = 2 * 1024 * 1024
BODY_TIMEOUT_S = 10.0
#: For one call; each of its own waits is shorter.
CALL_TIMEOUT_S = 15.0
#: Open streams of all sessions, and how long a browser may leave one of them unread.
MAX_STREAMS = 50
UNREAD_TIMEOUT_S = 15.0

STATIC = Path(__file__).parent / "static"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "engine",
}
#: What a call answers, from its query (GET) or its body's members (POST).
Call = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
#: What a stream sends, each piece as JSON.
Stream = Callable[[dict[str, Any]], AsyncIterator[bytes]]

_log = logging.getLogger(__name__)


class ConsoleServer:
    """:param callers: says whose request it is.
    :param reads: name -> what `GET /api/<name>` answers. :param acts: the same for POST, which may change something.
    :param streams: name -> what `GET /api/<name>` sends as server-sent events.
    """

    def __init__(
        self,
        sessions: Sessions,
        callers: Callers,
        reads: dict[str, Call],
        acts: dict[str, Call],
        streams: dict[str, Stream],
    ) -> None:
        self._sessions = sessions
        self._callers = callers
        self._open = 0
        self._files = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in _TYPES}
        application = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY_BYTES)
        application.router.add_get("/", self._file)
        application.router.add_get("/{name:[a-z_]+\\.[a-z]+}", self._file)
        application.router.add_post("/api/login", self._log_in)
        application.router.add_post("/api/logout", self._log_out)
        for name, read in reads.items():
            application.router.add_get(f"/api/{name}", self._answering(read))
        for name, act in acts.items():
            application.router.add_post(f"/api/{name}", self._answering(act))
        for name, stream in streams.items():
            application.router.add_get(f"/api/{name}", self._streaming(stream))
        self.application = application

    # --- who may do what

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            if request.path.startswith("/api/"):
                self._check(request)
            response = await handler(request)
        except web.HTTPException as refusal:
            response = _error(refusal.status, refusal.reason)
        except ApiError as refusal:
            response = _error(refusal.status, str(refusal))
        except EngineError as error:
            response = _error(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except TimeoutError:
            response = _error(HTTPStatus.GATEWAY_TIMEOUT, "it took too long")
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 (whatever it is, it is logged and answered)
            _log.exception("%s %s failed", request.method, request.path)
            response = _error(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of the console's own; its log says more")
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    def _check(self, request: web.Request) -> None:
        """Raise what a request is refused with that may not be made."""
        changes = request.method not in ("GET", "HEAD")
        if changes and not _same_origin(request):
            raise web.HTTPForbidden(reason="the request comes from another page")
        if request.path == "/api/login":
            return
        session = self._session(request)
        if changes and not self._sessions.shows_csrf(session, request.headers.get(CSRF_HEADER, "")):
            raise web.HTTPForbidden(reason="the CSRF token is missing or wrong")

    def _session(self, request: web.Request) -> Session:
        session = self._sessions.find(request.cookies.get(COOKIE, ""))
        if session is None:
            raise web.HTTPUnauthorized(reason="log in first")
        return session

    async def _log_in(self, request: web.Request) -> web.Response:
        password = (await _members(request)).get("password")
        if not isinstance(password, str):
            raise web.HTTPBadRequest(reason="there is no password")
        peer, address = self._caller(request)
        try:
            session = self._sessions.log_in(password, address)
        except TooManyAttempts as error:
            _log.warning("too many wrong passwords from %s", address)
            response = _error(HTTPStatus.TOO_MANY_REQUESTS, "too many attempts; wait a minute")
            response.headers["Retry-After"] = str(math.ceil(error.retry_after_s))
            return response
        if session is None:
            _log.warning("a wrong password from %s", address)
            return _error(HTTPStatus.UNAUTHORIZED, "the password is wrong")
        _log.info("somebody has logged in from %s", address)
        response = _json({"csrf": session.csrf})
        response.set_cookie(
            COOKIE,
            session.token,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=self._callers.secure(peer, request.headers),
        )
        return response

    def _caller(self, request: web.Request) -> tuple[str, str]:
        """Where the connection comes from, and whose it is."""
        peer = of_peer(request.transport.get_extra_info("peername") if request.transport else None)
        return peer, self._callers.address(peer, request.headers)

    async def _log_out(self, request: web.Request) -> web.Response:
        self._sessions.log_out(self._session(request))
        response = _json({})
        response.del_cookie(COOKIE, path="/")
        return response

    # --- what is served

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info.get("name", "index.html")
        content = self._files.get(name)
        if content is None:
            raise web.HTTPNotFound
        return web.Response(body=content, content_type=_TYPES[Path(name).suffix], charset="utf-8")

    def _answering(self, call: Call) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            caller.set(self._caller(request)[1])
            asked: dict[str, Any] = dict(request.query) if request.method == "GET" else await _members(request)
            async with within(CALL_TIMEOUT_S):
                found = await call(asked)
            if request.path == "/api/session":
                found["csrf"] = self._session(request).csrf
            return _json(found)

        return answer

    def _streaming(self, stream: Stream) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            if self._open >= MAX_STREAMS:
                raise web.HTTPServiceUnavailable(reason=f"{MAX_STREAMS} streams are open already")
            session = self._session(request)
            response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
            self._open += 1
            pieces = stream(dict(request.query))
            try:
                await response.prepare(request)
                await response.write(b"retry: 2000\n\n")
                async for piece in pieces:
                    if self._sessions.find(session.token) is not session:
                        break
                    async with within(UNREAD_TIMEOUT_S):
                        await response.write(b"data: %b\n\n" % piece)
            except (ConnectionError, TimeoutError):
                if request.transport is not None:
                    request.transport.abort()
            finally:
                self._open -= 1
                # Left by an exception, it would go on until it is collected.
                with contextlib.suppress(asyncio.CancelledError):
                    await pieces.aclose()  # type: ignore[attr-defined]
            return response

        return answer


async def _members(request: web.Request) -> dict[str, Any]:
    """Those of a JSON object. Only a script can send that type, and none of another origin without being asked."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(reason="the body must be application/json")
    try:
        async with within(BODY_TIMEOUT_S):
            found = orjson.loads(await request.read())
    except (ValueError, web.RequestPayloadError):
        found = None
    if not isinstance(found, dict):
        raise web.HTTPBadRequest(reason="the body must be a JSON object")
    return found


def _same_origin(request: web.Request) -> bool:
    """What a browser says of the page that asks; other programs say nothing, and have no cookie to be abused."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return False
    origin = request.headers.get("Origin")
    try:
        return origin is None or urlsplit(origin).netloc == request.headers.get("Host")
    except ValueError:  # no browser's: brackets without an address
        return False


def _json(found: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(found), content_type="application/json")


def _error(status: int, text: str) -> web.Response:
    response = _json({"error": text})
    response.set_status(status)
    return response
