from collections.abc import Callable
from typing import Any

from engine._fast.queues import FlushQueue

class Readers:
    def __init__(
        self, flushes: FlushQueue | None, add_reader: Callable[..., Any], remove_reader: Callable[..., Any]
    ) -> None: ...
    def stop(self) -> None: ...
