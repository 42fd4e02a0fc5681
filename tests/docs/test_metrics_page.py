"""docs/metrics.md names every metric, as it is declared, and no other."""

from __future__ import annotations

from pathlib import Path

from engine.metrics.metrics import Metrics

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


def test_the_page_shows_what_is_declared() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    shown = {tuple(cell.strip().replace("`", "") for cell in line.strip("|").split("|")) for line in lines}
    assert len(shown) == len(lines)
    assert shown == {
        (family.name, family.kind, ", ".join(family.labels) or "–", family.help) for family in Metrics().families
    }
