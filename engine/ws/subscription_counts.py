"""pusher_internal:subscription_count: subscribers are notified how many they are, for apps that want it (N-36).

Large channels are notified seldom, and of the last number always. Never counts: the totals come from the cluster.
"""

from __future__ import annotations

import asyncio

from engine._fast.frame import text_frame
from engine._fast.hub import Channel, Hub
from engine.interfaces import TotalChange
from engine.protocol import messages


class _Count:
    __slots__ = ("notified", "notified_at", "timer", "total")

    def __init__(self) -> None:
        self.total = self.notified = 0
        self.notified_at = float("-inf")
        self.timer: asyncio.TimerHandle | None = None


class SubscriptionCounts:
    """The numbers of this worker's channels, as its subscribers know them."""

    def __init__(self, hub: Hub, every_s: float = messages.COUNT_EVERY_S) -> None:
        self._hub = hub
        self._every_s = every_s
        self._known: dict[tuple[str, str], _Count] = {}

    def changed(self, change: TotalChange) -> None:
        """The cluster-wide number of subscriptions to a channel is another one."""
        self.resync(change.app_id, change.channel, change.total)

    def resync(self, app_id: str, name: str, total: int) -> None:
        """The number as it is, whether or not they know it."""
        channel = self._hub.channel(app_id, name)
        if channel is None:
            return
        count = self._known.get((app_id, name))
        if count is None:
            count = self._known[app_id, name] = _Count()
        count.total = total
        loop = asyncio.get_running_loop()
        due = loop.time() if total <= messages.COUNT_AT_ONCE else count.notified_at + self._every_s
        if due <= loop.time():
            self._notify(channel, count)
        elif count.timer is None:
            count.timer = loop.call_at(due, self._notify, channel, count)

    def forget(self, channel: Channel) -> None:
        """This worker has no subscriber of the channel any more."""
        count = self._known.pop((channel.app_id, channel.name), None)
        if count is not None and count.timer is not None:
            count.timer.cancel()

    @staticmethod
    def _notify(channel: Channel, count: _Count) -> None:
        if count.timer is not None:
            count.timer.cancel()
            count.timer = None
        if count.total != count.notified:
            count.notified, count.notified_at = count.total, asyncio.get_running_loop().time()
            channel.broadcast(text_frame(messages.subscription_count(channel.name, count.total)))
