"""An https endpoint that breaks off while TLS is set up harms nobody but itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.tls_breaks.show import play


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_nobody_notices_an_endpoint_that_breaks_off(tmp_path: Path) -> None:
    seen = play(tmp_path, clients=20, rate=200, seconds=8)
    assert not seen.faults, seen
    assert sum(seen.breaks.values()) > 100, seen
    assert len(seen.breaks) == 9, f"every stage is tried: {seen}"
