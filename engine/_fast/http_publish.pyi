import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from engine._fast.plain_publish import PlainPublisher
from engine._fast.queues import ReadQueue
from engine._fast.readable import Readers
from engine._fast.sampler import Sampler

BODY_TIMEOUT_S: int
HEAD_TIMEOUT_S: int
KEEPALIVE_TIMEOUT_S: int

class PublishServer:
    reads: ReadQueue
    readers: Readers
    plain: PlainPublisher | None
    sampler: Sampler | None
    connections: set[PublishProtocol]
    on_empty: Callable[[], None] | None
    def __init__(
        self,
        plain: PlainPublisher | None,
        answer: Callable[[bytes, bytes], Coroutine[Any, Any, bytes]],
        refuse: Callable[[bytes, int], bytes | None],
        usual: Callable[[], bytes],
        late: Callable[[], bytes],
        untaken: Callable[[str, int, float, Exception], bytes],
        elsewhere: Callable[[Any, bytes, str | None], None],
        serve: Callable[[Coroutine[Any, Any, None], str, Callable[[], None]], Any],
        loop: asyncio.AbstractEventLoop,
        path_prefix: str,
        max_body_bytes: int,
    ) -> None: ...
    def connect(self, transport: Any, data: bytes, source: str | None = None) -> None: ...
    def sweep(self) -> None: ...

class PublishProtocol(asyncio.Protocol):
    busy: bool
    last_activity: int
    def close(self) -> None: ...
    def abort(self, forget: bool = False) -> None: ...
