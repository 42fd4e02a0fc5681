"""Text for a terminal: lines to stdout and stderr.

What a stranger wrote (event names, data, answers) never reaches the terminal with control characters in it.
"""

from __future__ import annotations

import os
import re
import select
import sys

#: Those that turn the writing around, too: a name may not look like another one.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


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


def one_line(text: str) -> str:
    """The text with what commands a terminal or is no UTF-8 written out, so that it stays one line."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
