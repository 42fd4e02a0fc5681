"""From an upgrade request to a Connection, or to a Connection that says why not.

A refusal is sent on an open WebSocket, because browsers cannot see the status of a failed upgrade (C-6); that of a path
that is no endpoint too (C-7).
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import NamedTuple, Protocol
from urllib.parse import unquote

from engine._fast.connection import Connection
from engine._fast.hub import Hub
from engine.app import App
from engine.app_manager import AppManager
from engine.errors import CloseCode, PusherError
from engine.protocol.address import of_peer
from engine.protocol.forwarded import Callers, Headers
from engine.protocol.origin import origin_allowed
from engine.ws.address_quota import AddressQuota
from engine.ws.descriptors import of_this_process
from engine.ws.handlers import Handlers
from engine.ws.state import ConnectionState

SUPPORTED_PROTOCOLS = ("5", "6", "7")
#: Counters of connections that belong to no app.
NO_APP = ""

_log = logging.getLogger(__name__)

_UNKNOWN_KEY = "`python -m engine apps` shows the keys that are known."
_ORIGIN = "`allowed_origins` of the application has to name the origin of the page."
_TLS_ONLY = "Clients must use wss://; a proxy that ends TLS must be in `trusted_proxies` and send X-Forwarded-Proto."

_PROTOCOL = re.compile(r"(?:^|&)protocol=([^&]*)")
_NUMBER = re.compile(r"[0-9]+\Z")
#: Targets that are remembered, since clients of an application send the same; none longer than so many bytes.
MAX_TARGETS, MAX_TARGET_BYTES = 1000, 512
#: What client libraries make of a path that ends in a slash.
_SLASHES = re.compile("//+")


class Request(Headers, Protocol):
    """An upgrade request. :ivar origin: of the page that it comes from, if it says so."""

    @property
    def path(self) -> bytes: ...

    @property
    def origin(self) -> str | None: ...


class Target(NamedTuple):
    """What a request's target says.

    :ivar key: the app's; None where no WebSockets are. :ivar refusal: of the version that it speaks.
    """

    key: str | None
    refusal: tuple[CloseCode, str] | None


class Acceptor:
    """Decides over every WebSocket upgrade of this worker.

    :param path_prefix: before ``/app/{key}``; "" or "/prefix".
    :param max_connections: of this worker; 0 is no limit. More are refused for now (4100).
    :param tls: whether this worker's own sockets speak TLS. :param callers: says where a request comes from.
    :param quota: how many connections an address may hold.
    """

    def __init__(
        self,
        apps: AppManager,
        hub: Hub,
        handlers: Handlers,
        path_prefix: str,
        max_message_bytes: int,
        max_connections: int,
        *,
        tls: bool,
        callers: Callers,
        quota: AddressQuota,
    ) -> None:
        self._apps = apps
        self._hub = hub
        self._handlers = handlers
        self._prefix = f"{path_prefix}/app/"
        self._max_message_bytes = max_message_bytes
        self._max_connections = max_connections
        self._tls = tls
        self._callers = callers
        self._quota = quota
        self._quota_counts = quota.counts
        self._descriptors = of_this_process()
        self._targets: dict[bytes, Target] = {}
        #: While draining, newcomers are sent to another worker (C-8).
        self.draining = False
        #: While there is no memory for more.
        self.full = False

    def accept(self, request: Request, transport: asyncio.Transport, source: str | None = None) -> Connection:
        """A connection that is not open yet. :param source: its address, where that is not what the socket says."""
        target = self._targets.get(request.path) or self._read_target(request.path)
        key = target.key
        app = None if key is None else self._apps.by_key(key)
        connection = Connection(
            self._hub.new_socket_id(),
            app,
            self._hub.traffic(app.id if app is not None else NO_APP),
            self._handlers,
            self._hub.flush_queue,
            self._max_message_bytes,
        )
        connection.is_page = request.origin is not None
        peer = of_peer(transport.get_extra_info("peername")) if source is None else source
        address = self._callers.address(peer, request)
        refusal = self._descriptors.refusal(transport) or self._refusal(app, target, request, peer, address)
        state = ConnectionState(refusal)
        if refusal is None:
            state.address = address or None
            state.held_by = address or None if self._quota_counts else None
        connection.state = state
        if _log.isEnabledFor(logging.DEBUG):
            app_id = app.id if app else "(unknown)"
            _log.debug("app %s: socket %s connects from %s", app_id, connection.socket_id, address or "a Unix socket")
        return connection

    def _refusal(
        self, app: App | None, target: Target, request: Request, peer: str, address: str
    ) -> PusherError | None:
        key = target.key
        if key is None:
            return PusherError(CloseCode.PATH_NOT_FOUND, f"WebSockets are at {self._prefix}{{key}}")
        if self._apps.stale:
            # Never 4001, after which no client comes back.
            return PusherError(CloseCode.OVER_CAPACITY, "The app cannot be looked up now")
        if app is None:
            return PusherError(CloseCode.UNKNOWN_APP, f"App key {key[:64]} does not exist.", remedy=_UNKNOWN_KEY)
        if not app.enabled:
            return PusherError(CloseCode.APP_DISABLED, "The app is not enabled.")
        if app.tls_only and not (self._tls or self._callers.secure(peer, request)):
            return PusherError(CloseCode.TLS_ONLY, "The app takes connections with TLS only", remedy=_TLS_ONLY)
        if self.draining:
            return PusherError(CloseCode.RECONNECT, "The server is going away; connect again")
        if target.refusal is not None:
            return PusherError(*target.refusal)
        if app.allowed_origins and not origin_allowed(app.allowed_origins, request.origin):
            origin = (request.origin or "none")[:128]
            error = PusherError(CloseCode.UNAUTHORIZED, "Origin not allowed", remedy=_ORIGIN)
            error.instance = f"It was {origin}. "
            return error
        if self.full or (self._max_connections and len(self._hub) >= self._max_connections):
            return PusherError(CloseCode.OVER_CAPACITY, "The server is over capacity")
        if address and self._quota.full(address):
            return PusherError(CloseCode.OVER_CAPACITY, "Too many connections from this address")
        return None

    def _read_target(self, raw: bytes) -> Target:
        path, _, query = raw.decode("latin-1").partition("?")
        target = Target(self._key(path), _version_refusal(query))
        if len(raw) <= MAX_TARGET_BYTES:
            if len(self._targets) >= MAX_TARGETS:
                self._targets.clear()
            self._targets[raw] = target
        return target

    def _key(self, path: str) -> str | None:
        """The app's key in a path, whose doubled slashes are one; None where no WebSockets are."""
        if "//" in path:
            path = _SLASHES.sub("/", path)
        key = path[len(self._prefix) :] if path.startswith(self._prefix) else ""
        return unquote(key) if key and "/" not in key else None


def _version_refusal(query: str) -> tuple[CloseCode, str] | None:
    """Why the version of the protocol that is asked for is not spoken here."""
    version = _PROTOCOL.search(query)
    if version is None or version[1] in SUPPORTED_PROTOCOLS:
        return None
    if not _NUMBER.match(version[1]):
        return CloseCode.INVALID_VERSION, "Invalid protocol version"
    if version[1].lstrip("0") not in SUPPORTED_PROTOCOLS:
        return CloseCode.UNSUPPORTED_VERSION, "Unsupported protocol version"
    return None
