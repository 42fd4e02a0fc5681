from collections.abc import Callable
from typing import Any

from engine._fast.connection import Connection
from engine._fast.readable import Readers

class PlainSockets:
    readers: Readers
    def __init__(self, readers: Readers, call_soon: Callable[..., Any], first_kept: int) -> None: ...
    def stop(self) -> None: ...
    def take(self, transport: Any, protocol: Connection) -> Any | None: ...
