"""What a connection's life and messages lead to; the one place where a PusherError becomes bytes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable

from engine._fast.connection import Connection
from engine._fast.frame import text_frame
from engine._fast.hub import Hub
from engine.app import App
from engine.errors import CloseCode, PusherError, SubscriptionError
from engine.interfaces import Answer
from engine.metrics.metrics import Metrics
from engine.occupancy.reporter import Reporter
from engine.protocol import messages
from engine.protocol.channel import CONNECTIONS
from engine.protocol.messages import ClientMessage
from engine.webhooks.emitter import Emitter
from engine.ws.client_events import ClientEvents
from engine.ws.keepalive import Keepalive
from engine.ws.limits import AddressLimit, count_message
from engine.ws.signin import Signin
from engine.ws.state import ConnectionState
from engine.ws.subscriptions import Subscriptions
from engine.ws.watchlists import Watchlists

#: Messages kept for a connection that is not admitted yet (C-13); no library sends more than two.
MAX_WAITING = 16


class Handlers:
    """Takes what `_fast.connection` passes up: opened, message, closed."""

    def __init__(
        self,
        hub: Hub,
        reporter: Reporter,
        subscriptions: Subscriptions,
        signin: Signin,
        watchlists: Watchlists,
        client_events: ClientEvents,
        keepalive: Keepalive,
        addresses: AddressLimit,
        emitter: Emitter,
        metrics: Metrics,
        activity_timeout_s: int,
    ) -> None:
        self._hub = hub
        self._reporter = reporter
        self._subscriptions = subscriptions
        self._signin = signin
        self._watchlists = watchlists
        self._client_events = client_events
        self._keepalive = keepalive
        self._addresses = addresses
        self._emitter = emitter
        self._metrics = metrics
        self._activity_timeout_s = activity_timeout_s
        self._empty = asyncio.Event()
        self._empty.set()
        self._pong = text_frame(messages.PONG)
        self._table: dict[str, Callable[[Connection, ClientMessage], None]] = {
            messages.PUSHER_PING: self._on_ping,
            messages.PUSHER_PONG: self._on_pong,
            messages.PUSHER_SUBSCRIBE: self._on_subscribe,
            messages.PUSHER_UNSUBSCRIBE: self._on_unsubscribe,
            messages.PUSHER_SIGNIN: self._on_signin,
        }

    # --- called by the connection

    def opened(self, connection: Connection) -> None:
        state: ConnectionState = connection.state
        if isinstance(state.refusal, PusherError):
            self._fail(connection, state.refusal)
            return
        self._hub.add(connection)
        self._empty.clear()
        if state.address is None:
            self._count(connection)
            return
        state.waiting = []
        self._addresses.check(state.address, functools.partial(self._on_address, connection), connection.abort)

    def message(self, connection: Connection, payload: bytes) -> None:
        state: ConnectionState = connection.state
        if state.waiting is not None:
            if len(state.waiting) >= MAX_WAITING:
                connection.close(CloseCode.OVER_CAPACITY, "Too many messages before the connection was established")
            else:
                state.waiting.append(payload)
            return
        if state.refusal is not None:
            return
        try:
            if connection.app.max_messages and not count_message(connection):
                return
            message = messages.parse(payload)
            handler = self._table.get(message.event)
            if handler is not None:
                handler(connection, message)
            elif message.event.startswith(messages.CLIENT_PREFIX):
                self._client_events.accept(connection, message)
            else:
                raise PusherError(CloseCode.GENERIC, "Unknown event")
        except PusherError as error:
            self._fail(connection, error)

    def closed(self, connection: Connection, code: int, reason: str) -> None:
        state: ConnectionState = connection.state
        self._hub.discard(connection)
        if not len(self._hub):
            self._empty.set()
        self._keepalive.forget(connection)
        if state.refusal is not None:
            return
        if state.address is not None:
            state.address = None
            return
        app: App = connection.app
        if state.user is not None:
            self._watchlists.drop(connection)
        self._subscriptions.drop(connection)
        if state.counted:
            self._reporter.remove(app.id, CONNECTIONS, None, state.counting)
            state.counting, state.counted = None, False
        if state.waiting is None:
            self._emitter.connection_terminated(
                app, connection.socket_id, code, state.user.id if state.user is not None else None
            )

    def follow(self, connection: Connection, app: App) -> None:
        """The connection's app is another one from now on. One that is not enabled has no connections (4003)."""
        before: App = connection.app
        state: ConnectionState = connection.state
        connection.app = app
        if connection.closing:
            return
        if not app.enabled:
            self._fail(connection, PusherError(CloseCode.APP_DISABLED, "The app is not enabled."))
        elif state.waiting is None:
            if app.max_connections and not state.counted:
                # Those who are here already stay, and count: newcomers find the limit as it is meant.
                state.counted = True
                self._reporter.add(app.id, CONNECTIONS, None, None, app.max_connections)
            if app.subscription_count and not before.subscription_count:
                self._subscriptions.listen_again(connection)
            if app.user_authentication and not before.user_authentication:
                self._keepalive.expect_authorization(connection, app.user_authentication_timeout_s)
            elif before.user_authentication and not app.user_authentication:
                self._keepalive.forget(connection)

    def forsake(self, connection: Connection, remains: App) -> None:
        """The connection's app is no more (4001). :param remains: its last state, with nobody to tell anything."""
        connection.app = remains
        if not connection.closing:
            self._fail(connection, PusherError(CloseCode.UNKNOWN_APP, "The app does not exist any more."))

    async def all_gone(self, timeout_s: float) -> None:
        """Return when no connection is left, or after the time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), max(0.0, timeout_s))

    # --- one for each event name

    def _on_ping(self, connection: Connection, _: ClientMessage) -> None:
        connection.send(self._pong)

    def _on_pong(self, connection: Connection, _: ClientMessage) -> None:
        """Every frame counts as life already (C-22)."""

    def _on_subscribe(self, connection: Connection, message: ClientMessage) -> None:
        self._subscriptions.subscribe(connection, messages.subscribe_request(message))

    def _on_unsubscribe(self, connection: Connection, message: ClientMessage) -> None:
        self._subscriptions.unsubscribe(connection, messages.unsubscribe_channel(message))

    def _on_signin(self, connection: Connection, message: ClientMessage) -> None:
        self._signin.sign_in(connection, messages.signin_request(message))

    # --- helpers

    def _on_address(self, connection: Connection, refusal: PusherError | None) -> None:
        state: ConnectionState = connection.state
        if state.address is None:
            return  # it left meanwhile
        state.address = None
        if refusal is not None:
            state.refusal, state.waiting = refusal, None
            self._fail(connection, refusal)
            return
        self._count(connection)

    def _count(self, connection: Connection) -> None:
        """Admit it, once it is known that the app may have one connection more."""
        app: App = connection.app
        state: ConnectionState = connection.state
        if not app.max_connections:
            self._admit(connection)
            return
        if state.waiting is None:
            state.waiting = []
        state.counting, state.counted = functools.partial(self._on_counted, connection), True
        self._reporter.add(app.id, CONNECTIONS, None, state.counting, app.max_connections)

    def _on_counted(self, connection: Connection, _: Answer, refused: bool) -> None:
        """The app's connections of the whole cluster were counted with this one among them (4004)."""
        state: ConnectionState = connection.state
        if state.counting is None:
            return  # it left meanwhile and was taken back then
        state.counting = None
        if refused:
            state.waiting, state.counted = None, False
            self._reporter.remove(connection.app.id, CONNECTIONS, None)
            state.refusal = PusherError(CloseCode.OVER_QUOTA, "The app is over its connection quota")
            self._fail(connection, state.refusal)
            return
        self._admit(connection)

    def _admit(self, connection: Connection) -> None:
        app: App = connection.app
        state: ConnectionState = connection.state
        waiting, state.waiting = state.waiting, None
        established = messages.connection_established(connection.socket_id, self._activity_timeout_s)
        connection.send(text_frame(established))
        if app.user_authentication:
            self._keepalive.expect_authorization(connection, app.user_authentication_timeout_s)
        self._emitter.connection_established(app, connection.socket_id)
        for payload in waiting or ():
            self.message(connection, payload)

    def _fail(self, connection: Connection, error: PusherError) -> None:
        app_id = connection.traffic.app_id
        if isinstance(error, SubscriptionError):
            self._metrics.connection_error(app_id, "subscription")
            connection.send(text_frame(messages.subscription_error(error)))
            return
        self._metrics.connection_error(app_id, str(int(error.code)) if error.code is not None else "message")
        connection.send(text_frame(messages.error(error.code, error.message, error.channel)))
        if error.closes and error.code is not None:
            connection.close(error.code, error.message)
