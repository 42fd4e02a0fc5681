"""Signed-in users: each is a channel of its own, so messages to users and termination take the channels' road.

Nothing here knows where a user's connections are.
"""

from __future__ import annotations

from engine._fast.connection import Connection
from engine._fast.frame import text_frame
from engine._fast.hub import Hub
from engine.errors import CloseCode
from engine.protocol import messages
from engine.protocol.channel import user_channel

TERMINATED = "You got disconnected by the app."
SENT_BACK = "The app asks you to reconnect."


class Users:
    """The users signed in on this worker."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._farewell = text_frame(messages.error(CloseCode.UNAUTHORIZED, TERMINATED))

    def connections(self, app_id: str, user_id: str) -> list[Connection]:
        """Connections of this worker signed in as the user."""
        channel = self._hub.channel(app_id, user_channel(user_id))
        return channel.connections() if channel is not None else []

    def terminate(self, app_id: str, user_id: str, reconnect: bool = False) -> None:
        """Close this worker's connections of the user (U-11, U-12). :param reconnect: they shall come back at once."""
        for connection in self.connections(app_id, user_id):
            if reconnect:
                connection.close(CloseCode.RECONNECT, SENT_BACK)
            else:
                connection.send(self._farewell)
                connection.close(CloseCode.UNAUTHORIZED, TERMINATED)
