"""In every process of an engine that `make soak` looks into: says how many bytes are in use, when a signal asks.

Python imports it by its name. What a kernel counts is pages: those that a fork shares until one side writes to them,
and those that an allocator keeps for the next rush. What is in use says whether anything was left behind.
"""

from __future__ import annotations

import ctypes
import gc
import os
import re
import signal
import sys
import tempfile
from pathlib import Path

#: Names the folder of answers; each process has a file there, by its number.
FOLDER = "ENGINE_SOAK_FOLDER"
#: The engine uses none of these, and hands what it does not know on to its children.
ASK = signal.SIGRTMIN + 3
_WORDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
_IN_BLOCKS = re.compile(rb"^# bytes in allocated blocks\s+=\s+([\d,]+)", re.MULTILINE)


class _Malloc(ctypes.Structure):
    """What mallinfo2(3) says."""

    _fields_ = [(name, ctypes.c_size_t) for name in _WORDS.split()]


def live_bytes() -> int:
    """Of Python's own allocator, and of the C library's."""
    gc.collect()
    found = _mallinfo()
    return _in_blocks() + int(found.uordblks) + int(found.hblkhd)


def _in_blocks() -> int:
    """Python says it on its standard error alone."""
    with tempfile.TemporaryFile(dir=os.environ[FOLDER]) as said:
        own = os.dup(2)
        try:
            os.dup2(said.fileno(), 2)
            sys._debugmallocstats()
        finally:
            os.dup2(own, 2)
            os.close(own)
        said.seek(0)
        found = _IN_BLOCKS.search(said.read())
    assert found is not None
    return int(found[1].replace(b",", b""))


def _answer(*_: object) -> None:
    path = Path(os.environ[FOLDER], str(os.getpid()))
    new = path.with_suffix(".new")
    new.write_text(str(live_bytes()))
    new.rename(path)


if FOLDER in os.environ:
    _mallinfo = ctypes.CDLL(None).mallinfo2
    _mallinfo.restype = _Malloc
    signal.signal(ASK, _answer)
