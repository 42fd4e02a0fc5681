"""Unknown names are waited for once; see `test_app_updates.py` for what ends a wait."""

from __future__ import annotations

import asyncio

import pytest

from engine.worker import catch_up as module
from engine.worker.catch_up import CatchUp
from tests.support.waiting import PATIENCE_S


async def test_what_was_waited_for_in_vain_holds_nobody_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    catch_up = CatchUp()
    monkeypatch.setattr(module, "CATCH_UP_S", 0.01)
    await catch_up.wait(["2", "3"])
    monkeypatch.setattr(module, "CATCH_UP_S", 3600)
    await asyncio.wait_for(catch_up.wait(["3"]), PATIENCE_S)
    another = asyncio.create_task(catch_up.wait(["3", "4"]))
    await asyncio.sleep(0)
    assert not another.done()
    another.cancel()


async def test_a_database_is_asked_at_once_for_each_that_is_unknown() -> None:
    asked = 0

    async def refresh() -> None:
        nonlocal asked
        asked += 1

    catch_up = CatchUp(refresh)
    for names in (["1"], ["1"], ["2"], ["1", "2"], ["1", "3"]):
        await catch_up.wait(names)
    assert asked == 3
