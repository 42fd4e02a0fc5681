"""The last descriptors are not for clients."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.log.notices import EVERY_S
from engine.ws.descriptors import Descriptors


def transport(fd: int | None) -> asyncio.Transport:
    sock: Any = None if fd is None else SimpleNamespace(fileno=lambda: fd)
    return cast(asyncio.Transport, SimpleNamespace(get_extra_info=lambda name: sock))


@pytest.mark.parametrize(("limit", "first_kept"), [(100, 84), (1024, 922), (100_000, 99_744)])
def test_the_reserve(limit: int, first_kept: int) -> None:
    descriptors = Descriptors(limit)
    assert descriptors.refusal(transport(first_kept - 1)) is None
    refusal = descriptors.refusal(transport(first_kept))
    assert refusal is not None
    assert refusal.code == 4100
    assert descriptors.refusal(transport(None)) is None


def test_it_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 5.0
    descriptors = Descriptors(100, lambda: now_s)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            descriptors.refusal(transport(99))
        assert len(caplog.records) == 1
        now_s += EVERY_S
        descriptors.refusal(transport(99))
    assert len(caplog.records) == 2
