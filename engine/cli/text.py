"""Text for a terminal: lines to stdout and stderr.

What a stranger wrote (event names, data, answers) never reaches the terminal with control characters in it.
"""

from __future__ import annotations

import re
import sys

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def say(line: str) -> None:
    """One line of result to stdout, at once, so that it can be piped."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def complain(line: str) -> None:
    """One line of explanation to stderr."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def one_line(text: str) -> str:
    """The text with what commands a terminal or is no UTF-8 written out, so that it stays one line."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
