"""The adapter of a single worker: what is published goes straight to the hub.

Nothing leaves the process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine._fast.envelope import pack_event
from engine._fast.hub import Channel, Hub
from engine.history.memory import MemoryHistory
from engine.interfaces import Message


class LocalAdapter:
    """interfaces.Adapter without any other worker.

    :param on_terminate: called with (app id, user id, whether its clients shall come back at once).
    :param history: keeps what is to be kept.
    """

    connected = True
    link = None
    awaited = None

    def __init__(self, hub: Hub, on_terminate: Callable[[str, str, bool], None], history: MemoryHistory) -> None:
        self._hub = hub
        self._history = history
        self._on_terminate = on_terminate

    async def start(self) -> None:
        """Nothing to connect to."""

    def overhear(self, heard: Callable[[Channel, bytes], None] | None) -> None:
        vars(self).pop("send", None)
        if heard is None:
            return

        def send(message: Message) -> None:
            found = self._hub.channel(message.app_id, message.channel)
            if found is not None:
                heard(found, pack_event(message.except_socket_id.encode(), message.frame))
            LocalAdapter.send(self, message)

        # Only while somebody listens: it costs nothing else.
        vars(self)["send"] = send

    async def stop(self) -> None:
        """Nothing to end."""

    async def settle(self) -> None:
        """Nothing is ever on its way."""

    def subscribe(self, app_id: str, channel: str, done: Callable[[bool], None]) -> None:
        done(True)

    def unsubscribe(self, app_id: str, channel: str) -> None:
        """Nobody else was asked."""

    async def publish(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.send(message)

    def send(self, message: Message) -> None:
        found = self._hub.channel(message.app_id, message.channel)
        mark = None
        if message.retention is not None:
            mark = self._history.keep(message.app_id, message.channel, message.retention, message.frame)
        if found is not None:
            frame, excluded = message.frame, self._hub.get(message.except_socket_id)
            count = found.broadcast(frame, excluded) if mark is None else found.deliver_kept(frame, excluded, *mark)
            self._hub.note_broadcast(found, count, excluded, 0)

    def mark(self, message: Message, mark: bytes) -> None:
        """There is no other worker, and what was sent is delivered."""

    def hear_marks(self, heard: Callable[[Channel, bytes], None]) -> None:
        """None comes."""

    async def terminate(self, app_id: str, user_id: str, *, reconnect: bool = False) -> None:
        self._on_terminate(app_id, user_id, reconnect)
