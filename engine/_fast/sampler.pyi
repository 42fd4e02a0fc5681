from collections.abc import Callable, Coroutine
from typing import Any

from engine._fast.plain_publish import PlainPublisher

class Sampler:
    plain: PlainPublisher | None
    note: Callable[[bytes, bytes, bytes, int, int], None]
    answer: Callable[[bytes, bytes, bytes], Coroutine[Any, Any, bytes]]
    def __init__(self, ratio: float, heeds_callers: bool) -> None: ...
    def wants(self, traceparent: bytes) -> bool: ...
    def caller_of(self, head: bytes) -> bytes: ...
