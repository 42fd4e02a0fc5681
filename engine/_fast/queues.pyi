from collections.abc import Callable
from typing import Any

class FlushQueue:
    slow_consumers: int
    max_waiting_bytes: int
    max_frames_per_second: int
    reads: ReadQueue
    def __init__(
        self, call_soon: Callable[..., Any], max_waiting_bytes: int, max_frames_per_second: int = 0
    ) -> None: ...
    def flush(self) -> None: ...

class ReadQueue:
    def __init__(self, call_soon: Callable[..., Any]) -> None: ...
    def wake(self) -> None: ...
    def _all_go_on(self) -> None: ...
