"""The adapter of a single worker: what is published goes straight to the hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine._fast.hub import Hub


class LocalAdapter:
    """interfaces.Adapter without any other worker.

    :param on_terminate: called with (app id, user id).
    """

    connected = True

    def __init__(self, hub: Hub, on_terminate: Callable[[str, str], None]) -> None:
        self._hub = hub
        self._on_terminate = on_terminate

    async def start(self) -> None:
        """Nothing to connect to."""

    async def stop(self) -> None:
        """Nothing to end."""

    def subscribe(self, app_id: str, channel: str, done: Callable[[], None]) -> None:
        done()

    def unsubscribe(self, app_id: str, channel: str) -> None:
        """Nobody else was asked."""

    async def publish(self, messages: Sequence[tuple[str, str, bytes]], except_socket_id: str = "") -> None:
        for app_id, channel, frame in messages:
            self.send(app_id, channel, frame, except_socket_id)

    def send(self, app_id: str, channel: str, frame: bytes, except_socket_id: str = "") -> None:
        found = self._hub.channel(app_id, channel)
        if found is not None:
            found.broadcast(frame, self._hub.get(except_socket_id) if except_socket_id else None)

    async def terminate(self, app_id: str, user_id: str) -> None:
        self._on_terminate(app_id, user_id)
