"""The collector while a process starts."""

from __future__ import annotations

import gc

import pytest

from engine.machine.collector import resting


def test_it_rests_and_works_again_whatever_happens() -> None:
    before = gc.get_freeze_count()
    with resting():
        assert not gc.isenabled()
        kept = [[]]
    assert gc.isenabled()
    assert gc.get_freeze_count() > before, f"{kept} is not looked at again"
    with pytest.raises(ImportError), resting():
        raise ImportError
    assert gc.isenabled()


def test_who_has_switched_it_off_keeps_it_off() -> None:
    gc.disable()
    try:
        with resting():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
