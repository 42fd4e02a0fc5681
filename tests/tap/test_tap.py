"""Who looks on is told what happens, and holds nothing up."""

from __future__ import annotations

import pytest

from engine.tap import tap as module
from engine.tap.tap import MAX_DATA, Tap, Watcher


async def test_who_looks_on_is_told_of_its_application() -> None:
    tap, changes = Tap(), list[bool]()
    tap.on_change = changes.append
    assert not tap.active
    first, second = Watcher("1"), Watcher("2")
    tap.open(first)
    tap.open(second)
    assert tap.active
    tap.note("subscribed", "1", channel="room", socket_id="1.1")
    tap.note("published", "1", channel="room", event="hello", data="x" * (MAX_DATA + 1))
    tap.note("published", "2", channel="other")
    subscribed, published = await first.take()
    assert (subscribed["kind"], subscribed["channel"], subscribed["socket_id"]) == ("subscribed", "room", "1.1")
    assert (len(published["data"]), published["data_length"]) == (MAX_DATA, MAX_DATA + 1)
    assert [event["channel"] for event in await second.take()] == ["other"]
    tap.close(first)
    assert tap.active
    tap.close(second)
    assert not tap.active
    assert changes == [True, False]


async def test_what_comes_too_fast_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    watcher = Watcher("1")
    for n in range(5):
        watcher.note("published", {"n": n})
    *told, last = await watcher.take()
    assert [event["n"] for event in told] == [0, 1, 2]
    assert (last["kind"], last["number"]) == ("dropped", 2)
    watcher.note("published", {"n": 5})
    assert [event["n"] for event in await watcher.take()] == [5]


async def test_there_are_only_so_many_in_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = 1_000_000_000_000
    monkeypatch.setattr(module.time, "time_ns", lambda: now_ns)
    watcher = Watcher("1", per_second=2)
    for n in range(3):
        watcher.note("published", {"n": n})
    now_ns += 1_000_000_000
    watcher.note("published", {"n": 3})
    assert [event.get("n") for event in await watcher.take()] == [0, 1, 3, None]
