"""The examples of a documentation page, to be run by tests."""

from __future__ import annotations

import re

from tests.support.engine import ROOT

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def snippets(page: str, language: str) -> list[str]:
    """All fenced blocks of a language, in order; at least one."""
    text = (ROOT / "docs" / page).read_text()
    found = [code for tag, code in _FENCE.findall(text) if tag == language]
    assert found, f"{page} has no {language}"
    return found


def python(page: str) -> dict[str, object]:
    """What a page's Python blocks define, executed in order as one module."""
    namespace: dict[str, object] = {}
    exec("\n".join(snippets(page, "python")), namespace)
    return namespace
