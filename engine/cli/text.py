"""Text for a terminal: lines to stdout and stderr.

It changes nothing of them: what a stranger wrote (event names, data, answers) goes through `one_line` first
(`log/escapes.py`).
"""

from __future__ import annotations

import os
import select
import sys


def say(line: str) -> None:
    """One line of result to stdout, at once, so that it can be piped."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def complain(line: str) -> None:
    """One line of explanation to stderr."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def nobody_reads() -> bool:
    """Whether the reader of what is printed has gone, as `head` does when it has seen enough. Then nothing more is."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    gone = any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    if gone:
        # What is buffered still would fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return gone
