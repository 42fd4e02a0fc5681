"""What carries events between workers.

Types only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from engine._fast.awaited_link import AwaitedLink
from engine._fast.hub import Channel
from engine._fast.log_link import LogLink
from engine.app import Retention
from engine.interfaces.occupancy import MemberChange, TotalChange


class Message(NamedTuple):
    """A finished frame for the subscribers of one channel.

    :param except_socket_id: the connection that gets nothing, or "".
    :param retention: it is kept in the channel's history, within these bounds, or not delivered to anybody.
    """

    app_id: str
    channel: str
    frame: bytes
    except_socket_id: str = ""
    retention: Retention | None = None


@dataclass(frozen=True, slots=True)
class ClusterEvents:
    """What concerns the whole cluster, as it comes from a worker's adapter or from an occupancy store in memory.

    :param on_member_change: a membership change of a channel that this worker subscribes to.
    :param on_total_change: an announced total of one.
    :param on_terminate: (app id, user id, whether its clients shall come back at once).
    :param on_wake: the leader has something to do.
    :param on_connected: whether the adapter does what it is for, each time that this may have changed, and if not why,
        in a few words.
    :param on_missed: so many messages of other workers are lost to this one; 0 where one may have been wrong.
    :param on_trace: an operator at another node asks for a trace, or his console asks.
    """

    on_member_change: Callable[[MemberChange], None]
    on_total_change: Callable[[TotalChange], None]
    on_terminate: Callable[[str, str, bool], None]
    on_wake: Callable[[], None]
    on_connected: Callable[[bool, str], None]
    on_missed: Callable[[int], None]
    on_trace: Callable[[bytes], None] = lambda _: None


class Adapter(Protocol):
    """Carries finished frames to every worker that has subscribers of a channel, this one included.

    What arrives goes straight to the hub (`_fast/hub.pyx`).

    :ivar link: by which C sends what needs no waiting for; None where there is no such way, or nobody else to reach.
    :ivar awaited: by which C sends what is answered later; None where `link` does, or nothing can."""

    @property
    def link(self) -> LogLink | None: ...

    @property
    def awaited(self) -> AwaitedLink | None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    @property
    def connected(self) -> bool: ...

    async def settle(self) -> None:
        """Return when all that any worker had published before this call was handed to the hub; bounded."""

    def subscribe(self, app_id: str, channel: str, done: Callable[[bool], None]) -> None:
        """This worker has a subscriber; `done` is called with True when nothing published from then on is missed, and
        with False when that is refused. Bounded: alone, a worker answers True.

        Asked again for a channel that it has, it subscribes to what has come to be announced of it since."""

    def unsubscribe(self, app_id: str, channel: str) -> None:
        """This worker's last subscriber has left."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Send messages in order; returns when every live worker will get them.

        Raises StoreUnavailable where that cannot be promised and the configuration forbids local delivery; always for
        a message that should have been kept and may not be."""

    def send(self, message: Message) -> None:
        """The same for one message whose sender waits for nothing (client events). Order with `publish` is kept."""

    def overhear(self, heard: Callable[[Channel, bytes], None] | None) -> None:
        """Have this called with each message, of this worker and of others, before it is delivered here: the channel
        of this worker, and the envelope (`_fast/envelope.pyx`). None: nobody, as at the beginning."""

    def mark(self, message: Message, mark: bytes) -> None:
        """Send something behind a message that was just sent, to the workers that get that; nothing depends on it."""

    def hear_marks(self, heard: Callable[[Channel, bytes], None]) -> None:
        """Have this called with each mark that comes, after what was sent before it is delivered here."""

    async def terminate(self, app_id: str, user_id: str, *, reconnect: bool = False) -> None:
        """Close every connection signed in as the user, anywhere. :param reconnect: they shall come back at once."""
