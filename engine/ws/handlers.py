"""What a connection's life and messages lead to: each stage and each event name has its part of ws/.

Never decides a rule itself, and never writes to a socket but for the pong."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from engine._fast.client_event import PlainClientEvents
from engine._fast.connection import Connection
from engine._fast.frame import text_frame
from engine._fast.hub import Hub
from engine._fast.subscribe_message import read_subscribe
from engine.app import App
from engine.errors import CloseCode, PusherError, SubscriptionError
from engine.protocol import messages
from engine.protocol.messages import ClientMessage
from engine.tap.tap import NOBODY, Tap
from engine.webhooks.emitter import Emitter
from engine.ws.admission import Admission
from engine.ws.client_events import ClientEvents
from engine.ws.keepalive import Keepalive
from engine.ws.limits import count_error, count_join, count_message
from engine.ws.refusal import Refusal
from engine.ws.signin import Signin
from engine.ws.state import ADMITTED, CHECKING_ADDRESS, CLOSED, COUNTING, REFUSED
from engine.ws.subscriptions import Subscriptions
from engine.ws.watchlists import Watchlists

_log = logging.getLogger(__name__)


class Handlers:
    """Takes what `_fast.connection` passes up: opened, message, leaving, closed.

    :param max_joins_per_second: of one connection (`limits.count_join`).
    :ivar plain: sends what client events it can; None where each is to be seen.
    """

    def __init__(
        self,
        hub: Hub,
        admission: Admission,
        subscriptions: Subscriptions,
        signin: Signin,
        watchlists: Watchlists,
        client_events: ClientEvents,
        keepalive: Keepalive,
        emitter: Emitter,
        refusal: Refusal,
        max_joins_per_second: int,
        tap: Tap = NOBODY,
        plain: PlainClientEvents | None = None,
    ) -> None:
        self._tap = tap
        self.plain = plain
        self._hub = hub
        self._admission = admission
        self._subscriptions = subscriptions
        self._signin = signin
        self._watchlists = watchlists
        self.client_events = client_events
        self._keepalive = keepalive
        self._emitter = emitter
        self._refusal = refusal
        self._max_joins_per_second = max_joins_per_second
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
        if connection.state.stage is not REFUSED:
            if not len(self._hub):
                self._empty.clear()
            self._hub.add(connection)
        self._admission.begin(connection, self.message)

    def message(self, connection: Connection, payload: bytes) -> None:
        stage = connection.state.stage
        if stage is not ADMITTED:
            if stage is CHECKING_ADDRESS or stage is COUNTING:
                self._admission.keep(connection, payload)
            return
        try:
            if connection.app.max_messages and not count_message(connection):
                return
            plain = self.plain
            if plain is not None and not self._tap.active and plain.take(connection, payload):
                return
            asked = read_subscribe(payload)
            if asked is not None:
                self._subscribe(connection, messages.SubscribeRequest(*asked, None))
                return
            message = messages.parse(payload)
            handler = self._table.get(message.event)
            if handler is not None:
                handler(connection, message)
            elif message.event.startswith(messages.CLIENT_PREFIX):
                self.client_events.accept(connection, message)
            else:
                raise PusherError(CloseCode.GENERIC, "Unknown event")
        except PusherError as error:
            self._refusal.send(connection, error)
            if not isinstance(error, SubscriptionError):
                count_error(connection)

    def leaving(self, connection: Connection) -> None:
        """Its end is decided: it is in no channel and counts no more, however long its client keeps the socket."""
        state = connection.state
        stage, state.stage = state.stage, CLOSED
        _log.debug("app %s: socket %s ends: %s", connection.traffic.app_id, connection.socket_id, connection.close_code)
        self._keepalive.leaving(connection, refused=stage is REFUSED)
        if stage is REFUSED:
            self._discard(connection)
        # From the last to the first; each is done whatever those before it have raised.
        with contextlib.ExitStack() as steps:
            if stage is ADMITTED:
                steps.callback(self._emit_terminated, connection)
                if self._tap.active:
                    steps.callback(self._note_end, connection)
            steps.callback(self._admission.take_back, connection)
            if stage is ADMITTED:
                steps.callback(self._subscriptions.drop, connection)
                if state.user is not None:
                    steps.callback(self._watchlists.drop, connection)

    def closed(self, connection: Connection, code: int, reason: str) -> None:
        self._discard(connection)
        self._keepalive.gone(connection)

    # --- called when applications change

    def apply_app(self, connection: Connection, app: App) -> None:
        """The connection's app is another one from now on. One that is not enabled has no connections (4003)."""
        before = connection.app
        connection.app = app
        if connection.closing:
            return
        if not app.enabled:
            self._refusal.send(connection, PusherError(CloseCode.APP_DISABLED, "The app is not enabled."))
        elif connection.state.stage is ADMITTED:
            self._admission.count_late(connection)
            if app.subscription_count and not before.subscription_count:
                self._subscriptions.renew_topics(connection)
            if app.user_authentication and not before.user_authentication:
                self._keepalive.expect_authorization(connection, app.user_authentication_timeout_s)
            elif before.user_authentication and not app.user_authentication:
                self._keepalive.forget(connection)

    def orphan(self, connection: Connection, remains: App) -> None:
        """The connection's app is no more (4001). :param remains: its last state, without webhooks."""
        connection.app = remains
        if not connection.closing:
            self._refusal.send(connection, PusherError(CloseCode.UNKNOWN_APP, "The app does not exist any more."))

    async def all_gone(self, timeout_s: float) -> None:
        """Return when no connection is left, or after the time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), max(0.0, timeout_s))

    def _emit_terminated(self, connection: Connection) -> None:
        user = connection.state.user
        user_id = user.id if user is not None else None
        self._emitter.connection_terminated(connection.app, connection.socket_id, connection.close_code, user_id)

    def _note_end(self, connection: Connection) -> None:
        code = connection.close_code
        self._tap.note("disconnected", connection.app.id, socket_id=connection.socket_id, code=code)

    def _discard(self, connection: Connection) -> None:
        self._hub.discard(connection)
        if not len(self._hub):
            self._empty.set()

    def _subscribe(self, connection: Connection, request: messages.SubscribeRequest) -> None:
        self._subscriptions.subscribe(connection, request)
        count_join(connection, self._max_joins_per_second)

    # --- one for each event name

    def _on_ping(self, connection: Connection, _: ClientMessage) -> None:
        connection.send(self._pong)

    def _on_pong(self, connection: Connection, _: ClientMessage) -> None:
        """Every frame counts as life already (C-22)."""

    def _on_subscribe(self, connection: Connection, message: ClientMessage) -> None:
        self._subscribe(connection, messages.subscribe_request(message))

    def _on_unsubscribe(self, connection: Connection, message: ClientMessage) -> None:
        self._subscriptions.unsubscribe(connection, messages.unsubscribe_channel(message))

    def _on_signin(self, connection: Connection, message: ClientMessage) -> None:
        self._signin.sign_in(connection, messages.signin_request(message))
