"""Whether what this worker publishes comes back to it: the proof that its links to the others do what they are for.

Connections may stand and nothing be heard all the same: a user without the right to channels, two servers behind one
address, a subscription that was lost. It listens to nothing itself and decides nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from engine.errors import StoreUnavailable
from engine.tasks import cancel, spawn

#: How often it is published.
EVERY_S = 0.5
#: So many in a row of which none came back mean that nothing does.
MAX_UNHEARD = 5


class Echo:
    """:param publish: sends a message under a topic; its future raises StoreUnavailable.
    :param on_change: called when `proved` has changed.

    :ivar refusal: why the last one could not be published; "" when it could.
    """

    def __init__(self, publish: Callable[[bytes, bytes], asyncio.Future[int]], on_change: Callable[[], None]) -> None:
        self._publish = publish
        self._on_change = on_change
        #: Topic -> how many in a row were not heard; None until the first was.
        self._unheard: dict[bytes, int | None] = {}
        self._task: asyncio.Task[None] | None = None
        self._was_proved = False
        self._first = asyncio.Event()
        self.refusal = ""

    @property
    def proved(self) -> bool:
        """Every topic was heard, and lately."""
        heard = [unheard is not None and unheard <= MAX_UNHEARD for unheard in self._unheard.values()]
        return bool(heard) and all(heard)

    def begin(self) -> None:
        self._task = spawn(self._run(), "adapter-echo")

    async def stop(self) -> None:
        await cancel(self._task)

    async def until_proved(self, timeout_s: float) -> None:
        """Return when it was for the first time, or after so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._first.wait(), timeout_s)

    def use(self, topics: Iterable[bytes]) -> None:
        """These and no others; what is known of those that stay is kept."""
        self._unheard = {topic: self._unheard.get(topic) for topic in topics}
        self._look()

    def doubt(self) -> None:
        """A connection was lost: nothing is proved any more. Publish at once, so that it may be soon."""
        self._unheard = dict.fromkeys(self._unheard)
        self._ask()

    def heard(self, topic: bytes) -> bool:
        """Whether the topic is one of these."""
        if topic not in self._unheard:
            return False
        self._unheard[topic] = 0
        self._look()
        return True

    async def _run(self) -> None:
        while True:
            self._ask()
            await asyncio.sleep(EVERY_S)

    def _ask(self) -> None:
        for topic, unheard in self._unheard.items():
            self._unheard[topic] = None if unheard is None else unheard + 1
            self._publish(topic, b"").add_done_callback(self._on_published)
        self._look()

    def _on_published(self, done: asyncio.Future[int]) -> None:
        if not done.cancelled():
            error = done.exception()
            self.refusal = str(error) if isinstance(error, StoreUnavailable) else ""

    def _look(self) -> None:
        if self.proved != self._was_proved:
            self._was_proved = self.proved
            if self.proved:
                self._first.set()
            self._on_change()
