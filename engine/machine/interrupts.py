"""Ctrl-C in a program of ours: it ends it at once, as SIGTERM does, but where somebody wants to hear of it.

Python's own way raises KeyboardInterrupt wherever the program is, in the midst of an import as well, and prints where
that was. An interrupt that is ignored, as under `nohup` or in a script's background, is never made to do anything.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


def end_at_once() -> None:
    """From now on it ends this process without a word, until a handler of its own is there."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """In here it is a KeyboardInterrupt, for what has something to say or to undo at its end."""
    ends = signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    if ends:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if ends:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
