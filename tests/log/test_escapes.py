"""What a stranger's text cannot do to a terminal or a log."""

from __future__ import annotations

import pytest

from engine.log.escapes import harmless_lines, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"name":"Zoë ☃"}', '{"name":"Zoë ☃"}'),
        ("two\nlines\t", "two\\nlines\\t"),
        ("\x1b]0;evil\x07\x9b2J\u2028", "\\x1b]0;evil\\x07\\x9b2J\\u2028"),
        ("\u202eevil\u2066\u200f", "\\u202eevil\\u2066\\u200f"),
    ],
)
def test_one_line_commands_no_terminal(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_lines_and_tabs_of_its_own_may_stay() -> None:
    assert harmless_lines("a\tb\n\x1b[31m\r\u202e\u2028") == "a\tb\n\\x1b[31m\\r\\u202e\\u2028"
