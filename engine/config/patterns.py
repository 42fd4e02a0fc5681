"""Regular expressions from a configuration, by RE2: they take time in proportion to the text, whatever was written.

An application's owner may write them, and a client's channel names are what they are matched with: Python's own engine,
which can be made to need years for thirty characters, must never be used for them.
"""

from __future__ import annotations

from typing import Any

import re2

#: Longest pattern: what it is compiled to takes memory in each worker.
MAX_LENGTH = 1_000


def compile_pattern(text: str) -> Any:
    """An object whose `search` finds a match anywhere in a text; those of one text are equal.

    Raises ValueError, with the second half of a sentence, for what is no pattern.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"is too long; allowed: {MAX_LENGTH} characters")
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0] if error.args else b""
        said = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(
            f"is not a regular expression of RE2, which has no look-around and no references back: {said}"
        ) from None
