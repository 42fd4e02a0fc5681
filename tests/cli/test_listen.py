"""`python -m engine listen`: the rules by which it comes back, and what it prints. Its round trip is in integration."""

from __future__ import annotations

import pytest

from engine.cli.listen import Stop, reconnect_delay
from engine.cli.text import one_line


@pytest.mark.parametrize(
    ("code", "failures", "delay_s"),
    [(None, 1, 1), (None, 2, 2), (None, 9, 10), (1006, 0, 1), (1012, 0, 1), (4100, 0, 1), (4200, 0, 0), (4201, 0, 0)],
)
def test_comes_back(code: int | None, failures: int, delay_s: float) -> None:
    assert reconnect_delay(code, failures) == delay_s


@pytest.mark.parametrize("code", [4000, 4001, 4009, 4099, 4301])
def test_stays_away(code: int) -> None:
    with pytest.raises(Stop, match=str(code)):
        reconnect_delay(code, 0)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"name":"Zoë ☃"}', '{"name":"Zoë ☃"}'),
        ("two\nlines\t", "two\\nlines\\t"),
        ("\x1b]0;evil\x07\x9b2J\u2028", "\\x1b]0;evil\\x07\\x9b2J\\u2028"),
    ],
)
def test_one_line_commands_no_terminal(text: str, shown: str) -> None:
    assert one_line(text) == shown
