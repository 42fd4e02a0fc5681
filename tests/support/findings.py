"""What tests of `doctor` say of a finding, and the application that they examine."""

from __future__ import annotations

from engine._fast.signature import Signer
from engine.app import App
from engine.cli.finding import Finding

APP = App("1", "key", "a-secret-of-ours", Signer("a-secret-of-ours"))


def levels(found: list[Finding]) -> list[str]:
    return [finding.level for finding in found]


def complained(found: Finding, *words: str) -> bool:
    """It is no good news, has a remedy, and names these."""
    text = f"{found.message} {found.remedy}"
    return found.level in ("problem", "warning") and bool(found.remedy) and all(word in text for word in words)
