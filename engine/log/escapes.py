"""Characters that nobody's text may bring into a terminal or a log: they command it, or pass for a line of ours.

Imports nothing of the engine, since every command reads it.
"""

from __future__ import annotations

import re

#: Those that turn the writing around, too: a name may not look like another one.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def one_line(text: str) -> str:
    """The text with what commands a terminal or is no UTF-8 written out, so that it stays one line."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def harmless_lines(text: str) -> str:
    """The same of a text that has lines and tabs of its own."""
    return _CONTROL.sub(lambda found: found[0] if found[0] in "\n\t" else one_line(found[0]), text)
