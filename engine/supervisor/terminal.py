"""Whether the engine was started from a terminal, whether that is still open, and what it was told there.

A terminal that is closed and an operator who wants a reload both send SIGHUP; this distinguishes the two, and decides
nothing else.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping


class Terminal:
    """Of this process; to be made before anything is done about SIGHUP.

    :param given: what was said there of where the server is, by the names of options; None for what was not.
    """

    def __init__(self, given: Mapping[str, object]) -> None:
        #: What a command in another terminal must be told to find this server.
        self.options = [word for name, value in given.items() if value is not None for word in (name, str(value))]
        # Under nohup it is to outlive its terminal.
        self._had = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _is_open()

    def closed(self) -> bool:
        """It was there at the start and is gone."""
        return self._had and not _is_open()


def _is_open() -> bool:
    try:
        fd = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return False
    os.close(fd)
    return True
