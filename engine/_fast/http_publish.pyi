import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

class PublishProtocol(asyncio.Protocol):
    busy: bool
    last_activity: int
    def __init__(
        self,
        answer: Callable[[bytes, bytes], Coroutine[Any, Any, bytes]],
        elsewhere: Callable[[Any, bytes], None],
        spawn: Callable[[Coroutine[Any, Any, None], str, Callable[[], None]], Any],
        on_end: Callable[[PublishProtocol], None],
        path_prefix: str,
        max_body_bytes: int,
    ) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
