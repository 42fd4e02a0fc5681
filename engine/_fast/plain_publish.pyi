from collections.abc import Callable
from typing import Any

from engine._fast.counting import AllSizes
from engine._fast.hub import Hub

class PlainPublisher:
    def __init__(
        self,
        registry: Any,
        hub: Hub,
        path_prefix: str,
        now_s: Callable[[], float],
        window_s: float,
        durations: AllSizes,
    ) -> None: ...
