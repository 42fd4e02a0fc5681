"""pusher:signin: the connection proves who its user is and from then on is reached by the user's messages.

Never logs what was signed.
"""

from __future__ import annotations

from engine._fast.connection import Connection
from engine._fast.frame import text_frame
from engine.errors import CloseCode, PusherError
from engine.interfaces import Answer
from engine.protocol import auth, messages
from engine.protocol.channel import user_channel
from engine.protocol.messages import SigninRequest
from engine.ws.state import Joining, User
from engine.ws.subscriptions import Subscriptions
from engine.ws.watchlists import Watchlists


class Signin:
    """Signs connections in (docs/protocol.md 4.1)."""

    def __init__(self, subscriptions: Subscriptions, watchlists: Watchlists) -> None:
        self._subscriptions = subscriptions
        self._watchlists = watchlists

    def sign_in(self, connection: Connection, request: SigninRequest) -> None:
        """Success is sent once the connection is reachable as the user. Raises PusherError when refused (U-4)."""
        app, state = connection.app, connection.state
        auth.verify_signin(app, connection.socket_id, request.auth, request.user_data)
        data = auth.parse_user_data(request.user_data)
        name = user_channel(data.id)
        succeeded = text_frame(messages.signin_success(request.user_data))
        if state.user is not None:
            if state.user.id != data.id:
                raise PusherError(CloseCode.GENERIC, "The connection is signed in as another user already")
            if state.is_joining(name):
                return
            if self._subscriptions.is_in(connection, name):
                connection.send(succeeded)
                return
            # The way in was broken off: nobody is told of a success who could not be reached or ended as that user.
        state.authorized = True
        state.user = User(data.id, data.user_info, request.user_data)

        def on_live(joining: Joining, answer: Answer) -> None:
            self._subscriptions.go_live(joining, answer.version, [succeeded])
            if app.watchlist_events and data.watchlist:
                self._watch(connection, data.watchlist)
            self._subscriptions.end_if_overflowed(joining)

        self._subscriptions.join(connection, name, None, on_live)

    def _watch(self, connection: Connection, watchlist: tuple[str, ...]) -> None:
        if len(watchlist) > auth.MAX_WATCHLIST:
            problem = f"Only the first {auth.MAX_WATCHLIST} users of the watchlist are watched"
            connection.send(text_frame(messages.error(CloseCode.WATCHLIST_LIMIT, problem)))
        self._watchlists.watch(connection, watchlist[: auth.MAX_WATCHLIST])
