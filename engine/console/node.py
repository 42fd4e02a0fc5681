"""What the console hears from its supervisor: the node's workers, when it asks, and each newer configuration.

It tells the supervisor nothing, and asks only while somebody looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

from engine.control import ControlError, NodeState, WorkerSpec, receive_console_word, unseal
from engine.errors import StoreUnavailable
from engine.tasks import within

#: A supervisor answers between two looks at its workers.
TIMEOUT_S = 2.0
_ASK = b"?"

_log = logging.getLogger(__name__)


class NodeLink:
    """:param control: connected to the supervisor. :param on_spec: called with a newer configuration.
    :param on_end: called when the supervisor is gone.
    """

    def __init__(
        self, control: socket.socket, on_spec: Callable[[WorkerSpec], None], on_end: Callable[[], None]
    ) -> None:
        self._control = control
        self._on_spec = on_spec
        self._on_end = on_end
        self._asked: asyncio.Future[NodeState] | None = None

    def start(self) -> None:
        self._control.setblocking(False)
        asyncio.get_running_loop().add_reader(self._control, self._on_readable)

    def stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()

    async def state(self) -> NodeState:
        """As it is now. Raises StoreUnavailable when the supervisor does not say."""
        if self._asked is None or self._asked.done():
            self._asked = asyncio.get_running_loop().create_future()
            with contextlib.suppress(OSError):
                self._control.send(_ASK)
        try:
            async with within(TIMEOUT_S):
                return await asyncio.shield(self._asked)
        except TimeoutError:
            self._asked = None
            raise StoreUnavailable("the supervisor does not answer") from None

    def _on_readable(self) -> None:
        try:
            while (word := receive_console_word(self._control)) is not None:
                if isinstance(word, NodeState):
                    if self._asked is not None and not self._asked.done():
                        self._asked.set_result(word)
                else:
                    self._on_spec(unseal(word[1]))
            return
        except ConnectionResetError:
            _log.debug("the supervisor is gone; the console ends")
        except ControlError as error:
            _log.error("%s; the console ends", error)
        asyncio.get_running_loop().remove_reader(self._control)
        self._on_end()
