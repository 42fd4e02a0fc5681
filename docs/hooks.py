"""For mkdocs: a link to a file of the source, which is not on the site, becomes the file's name."""

from __future__ import annotations

import re

_OUTSIDE = re.compile(r"\[`?([^\]`]+)`?\]\(\.\./([^)]+)\)")


def on_page_markdown(markdown: str, **_: object) -> str:
    return _OUTSIDE.sub(r"`\2` in the source", markdown)
