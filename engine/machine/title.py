"""What this process is called in lists of processes, so that an operator can tell one of ours from another.

It changes nothing else, and never fails: where a system does not let it, the process keeps the name that it has.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

#: Longest name that the kernel keeps apart from the command line.
_NAME_BYTES = 15
#: Positions in /proc/self/stat behind the name (proc(5)): where the command line begins and ends.
_BEGIN, _END = 45, 46

_SELF = Path("/proc/self")


def set_title(name: str, words: str = "") -> None:
    """Be `name` in `ps -e` and `top`, and `name words` where command lines are shown, as far as ours has room.

    The command line of a forked process is that of its parent. It lies in the process' own memory, where it may be
    written over; Python has read it long ago.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        (_SELF / "comm").write_text(name[:_NAME_BYTES])
        fields = (_SELF / "stat").read_text().rpartition(")")[2].split()
        begin, size = int(fields[_BEGIN]), int(fields[_END]) - int(fields[_BEGIN])
        title = f"{name} {words}".strip().encode()[: max(size - 1, 0)]
        if begin and title:
            # Zeros to its end: without the last of them the kernel would show the environment too.
            with (_SELF / "mem").open("r+b", buffering=0) as memory:
                memory.seek(begin)
                memory.write(title.ljust(size, b"\0"))
