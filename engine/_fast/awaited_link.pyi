from collections.abc import Callable
from typing import Any

from engine._fast.hub import Hub
from engine._fast.recent_events import RecentEvents

class AwaitedMessage:
    def done(self) -> bool: ...
    def set_result(self, receivers: int) -> None: ...
    def set_exception(self, error: Exception) -> None: ...

class AwaitedLink:
    def __init__(
        self,
        hub: Hub,
        carry: Callable[[bytes, bytes, AwaitedMessage], None],
        topic_prefix: bytes,
        fallback: bool,
        metrics: Any,
        recent: RecentEvents,
    ) -> None: ...
