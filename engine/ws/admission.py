"""From an open socket to an established connection: one more of its address, then one more of its app.

Works through the stages of `ws/state.py`. Never looks into messages: those that come too early are kept and given back.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable

from engine._fast.connection import Connection
from engine._fast.frame import text_frame
from engine.config.limits import RateLimit
from engine.errors import CloseCode, PusherError, StoreUnavailable
from engine.interfaces import Answer, RateLimiter
from engine.metrics.metrics import Metrics
from engine.occupancy.reporter import Reporter
from engine.protocol import messages
from engine.protocol.channel import CONNECTIONS
from engine.tap.tap import NOBODY, Tap
from engine.tasks import serve
from engine.webhooks.emitter import Emitter
from engine.ws.address_quota import AddressQuota
from engine.ws.keepalive import Keepalive
from engine.ws.refusal import Refusal
from engine.ws.state import ADMITTED, CHECKING_ADDRESS, COUNTING, REFUSED

#: Messages kept for a connection that is not admitted yet (C-13); no library sends more than two.
MAX_WAITING = 16

#: What an early message is given to once its connection is admitted.
Replay = Callable[[Connection, bytes], None]


class Admission:
    """Admits connections, or says why not.

    :param addresses: None where it is not limited how often an address may connect.
    :param on_admitted: called with each that was admitted.
    """

    def __init__(
        self,
        addresses: AddressLimit | None,
        quota: AddressQuota,
        reporter: Reporter,
        keepalive: Keepalive,
        emitter: Emitter,
        refusal: Refusal,
        activity_timeout_s: int,
        on_admitted: Callable[[Connection], None] | None = None,
        tap: Tap = NOBODY,
    ) -> None:
        self._tap = tap
        self._on_admitted = on_admitted
        self._addresses = addresses
        self._quota = quota
        self._reporter = reporter
        self._keepalive = keepalive
        self._emitter = emitter
        self._refusal = refusal
        self._activity_timeout_s = activity_timeout_s

    def begin(self, connection: Connection, replay: Replay) -> None:
        """The socket is open. :param replay: gets what has come before the connection is admitted."""
        state = connection.state
        refusal, address = state.refusal, state.address
        if state.held_by is not None:
            self._quota.enter(state.held_by)
        if refusal is not None:
            state.refusal = None
            self._refusal.send(connection, refusal)
        elif address is None or self._addresses is None:
            self._count(connection, replay)
        else:
            decide = functools.partial(self._on_address, connection, replay)
            self._addresses.check(address, decide, connection.abort)

    def keep(self, connection: Connection, payload: bytes) -> None:
        """A message has come too early."""
        if not connection.state.keep_early(payload, MAX_WAITING):
            connection.close(CloseCode.OVER_CAPACITY, "Too many messages before the connection was established")

    def count_late(self, connection: Connection) -> None:
        """The app has a quota from now on. Those who are here already stay, and count: newcomers find the limit as it
        is meant."""
        app = connection.app
        if app.max_connections and not connection.state.counted:
            connection.state.counted = True
            self._reporter.add(app.id, CONNECTIONS, None, None, app.max_connections)

    def take_back(self, connection: Connection) -> None:
        """The connection was left: it is one of the app's and of its address's no more."""
        state = connection.state
        if state.held_by is not None:
            self._quota.leave(state.held_by)
            state.held_by = None
        if state.counted:
            self._reporter.remove(connection.app.id, CONNECTIONS, None, state.on_counted)
            state.on_counted, state.counted = None, False

    def _on_address(self, connection: Connection, replay: Replay, refusal: PusherError | None) -> None:
        if connection.state.stage is not CHECKING_ADDRESS:
            return  # it left meanwhile
        if refusal is None:
            self._count(connection, replay)
        else:
            self._refuse(connection, refusal)

    def _count(self, connection: Connection, replay: Replay) -> None:
        """Admit it, once it is known that the app may have one connection more."""
        app, state = connection.app, connection.state
        if not app.max_connections:
            self._admit(connection, replay)
            return
        state.stage = COUNTING
        state.on_counted, state.counted = functools.partial(self._on_counted, connection, replay), True
        self._reporter.add(app.id, CONNECTIONS, None, state.on_counted, app.max_connections)

    def _on_counted(self, connection: Connection, replay: Replay, _: Answer, refused: bool) -> None:
        """The app's connections of the whole cluster were counted with this one among them (4004)."""
        state = connection.state
        if state.stage is not COUNTING:
            return  # it left meanwhile and was taken back then
        state.on_counted = None
        if refused:
            self.take_back(connection)
            self._refuse(connection, PusherError(CloseCode.OVER_QUOTA, "The app is over its connection quota"))
        else:
            self._admit(connection, replay)

    def _admit(self, connection: Connection, replay: Replay) -> None:
        app, state = connection.app, connection.state
        state.stage = ADMITTED
        established = messages.connection_established(connection.socket_id, self._activity_timeout_s)
        connection.send(text_frame(established))
        if app.user_authentication:
            self._keepalive.expect_authorization(connection, app.user_authentication_timeout_s)
        address, state.address = state.address, None
        if self._tap.active:
            self._tap.note("connected", app.id, socket_id=connection.socket_id, address=address or "")
        self._emitter.connection_established(app, connection.socket_id, address)
        if self._on_admitted is not None:
            self._on_admitted(connection)
        if state.early is not None:
            early, state.early = state.early, None
            for payload in early:
                replay(connection, payload)

    def _refuse(self, connection: Connection, refusal: PusherError) -> None:
        connection.state.stage = REFUSED
        connection.state.early = connection.state.address = None
        self._refusal.send(connection, refusal)


class AddressLimit:
    """New connections of one address (`rate_limiter.websocket_rate_limit`)."""

    def __init__(self, limiter: RateLimiter, limit: RateLimit, metrics: Metrics) -> None:
        self._limiter = limiter
        self._limit = limit
        self._metrics = metrics.limits
        #: Checks under way; kept so that they are not collected. Each is bounded by the limiter's own time-out.
        self._checking: set[asyncio.Task[None]] = set()

    def check(self, address: str, decide: Callable[[PusherError | None], None], end: Callable[[], None]) -> None:
        """Count one connection; `decide` is called with the reason when it is one too many.

        :param end: ends the connection, should that fail.
        """
        task = serve(self._check(address, decide), "address-limit", end)
        self._checking.add(task)
        task.add_done_callback(self._checking.discard)

    async def _check(self, address: str, decide: Callable[[PusherError | None], None]) -> None:
        limit = self._limit
        try:
            decision = await self._limiter.hit(f"websocket:{address}", limit.max_requests, limit.window_seconds)
        except StoreUnavailable:
            # As with the limits of the HTTP API: rather too many than none.
            decide(None)
            return
        self._metrics.checked.add(1, "", "address", "websocket")
        self._metrics.triggered.add(not decision.allowed, "", "address", "websocket")
        if decision.allowed:
            decide(None)
        else:
            message = f"Too many connections from this address; try again in {decision.retry_after_s} s"
            decide(PusherError(CloseCode.OVER_CAPACITY, message))
