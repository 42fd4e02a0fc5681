"""The table of docs/redis.md has what the command plays."""

from __future__ import annotations

from tests.servers.scenes import SCENES
from tests.support.engine import ROOT


def test_the_table_has_every_column() -> None:
    assert f"| server | {' | '.join(SCENES)} |" in (ROOT / "docs" / "redis.md").read_text()
