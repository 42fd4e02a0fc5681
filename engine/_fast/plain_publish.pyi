from collections.abc import Callable

from engine._fast.awaited_link import AwaitedLink
from engine._fast.counting import AllSizes
from engine._fast.hub import Hub
from engine._fast.log_link import LogLink
from engine._fast.registry import Registry

class PlainPublisher:
    awaited: AwaitedLink | None
    def __init__(
        self,
        registry: Registry,
        hub: Hub,
        now_s: Callable[[], float] | None,
        window_s: float,
        durations: AllSizes,
        link: LogLink | None = None,
        awaited: AwaitedLink | None = None,
    ) -> None: ...
