"""What is replayed to a new subscriber, and what it is told is missing."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any

from engine._fast.frame import payload_of
from engine.app import HistoryRule, Replay, Retention
from engine.errors import StoreUnavailable
from engine.history.memory import MemoryHistory
from engine.history.replay import Replays, resolve_replay
from engine.interfaces import Replayed
from engine.metrics.metrics import Metrics
from engine.protocol.auth import ReplayRequest

KEPT = Retention(5, 100_000, 1 << 20)
PATTERN = re.compile("room")


@dataclass
class Scene:
    """A store whose clock is ours."""

    now_ms: int = 1_000_000
    listening: bool = True
    max_bytes: int = 1 << 20
    reads: int = 0
    store: MemoryHistory = field(init=False)

    def __post_init__(self) -> None:
        self.store = MemoryHistory(lambda: self.now_ms)
        original = self.store.replay

        async def counted(*args: Any) -> Replayed:
            self.reads += 1
            return await original(*args)

        self.store.replay = counted  # type: ignore[method-assign]

    def publish(self, *data: str) -> str:
        """At moments of their own; the stream's id."""
        for each in data:
            self.now_ms += 1000
            self.store.keep("1", "room", KEPT, b"\x81" + bytes([len(each) + 2]) + json.dumps(each).encode())
        return asyncio.run(self.store.inspect("1", "room", KEPT)).id

    def read(self, asked: ReplayRequest | None = None, replay: Replay | None = None, kept: bool = True) -> list[Any]:
        """What comes, the data of a gap's frame in place of it."""
        rule = HistoryRule(PATTERN, KEPT, replay=replay) if kept else None

        async def read() -> list[Any]:
            replays = Replays(self.store, lambda: self.listening, self.max_bytes, Metrics())
            given = await replays.read("1", "room", resolve_replay(rule, asked))
            return [_told(json.loads(payload_of(frame))) for frame in given.frames]

        return asyncio.run(read())


def _told(value: Any) -> Any:
    if isinstance(value, str):
        return value
    assert (value["event"], value["channel"]) == ("pusher:history_gap", "room")
    return json.loads(value["data"])["reason"]


def test_by_rule_the_newest_come_oldest_first() -> None:
    scene = Scene()
    assert scene.read(replay=Replay(count=3)) == []
    scene.publish("a", "b", "c", "d")
    assert scene.read(replay=Replay(count=3)) == ["b", "c", "d"]
    assert scene.read(replay=Replay(window_ms=1500)) == ["c", "d"]
    assert scene.read(replay=Replay(count=9, window_ms=1)) == ["d"]


def test_a_number_alone_is_never_missed_and_a_time_is() -> None:
    scene = Scene()
    scene.publish(*"abcdefgh")
    assert scene.read(replay=Replay(count=5)) == list("defgh")
    assert scene.read(replay=Replay(window_ms=4500)) == list("defgh")
    assert scene.read(replay=Replay(window_ms=6500)) == ["expired", *"defgh"]
    assert scene.read(replay=Replay(count=2, window_ms=1500)) == ["g", "h"]
    assert scene.read(replay=Replay(count=2, window_ms=3500)) == ["limit", "g", "h"]


def test_what_a_client_has_is_not_replayed() -> None:
    scene = Scene()
    stream = scene.publish(*"abcdefgh")
    assert scene.read(ReplayRequest(serial=6, stream_id=stream)) == ["g", "h"]
    assert scene.read(ReplayRequest(serial=8, stream_id=stream)) == []
    assert scene.read(ReplayRequest(serial=3, stream_id=stream)) == list("defgh")
    assert scene.read(ReplayRequest(serial=2, stream_id=stream)) == ["expired", *"defgh"]
    assert scene.read(ReplayRequest(serial=9, stream_id=stream)) == ["stream_changed", *"defgh"]
    assert scene.read(ReplayRequest(serial=6, stream_id="0" * 32)) == ["stream_changed", *"defgh"]
    assert scene.read(ReplayRequest(serial=0)) == ["expired", *"defgh"]
    asyncio.run(scene.store.reset("1", "room", KEPT))
    scene.publish("x")
    assert scene.read(ReplayRequest(serial=6, stream_id=stream)) == ["stream_changed", "x"]
    assert scene.read(ReplayRequest(serial=0)) == ["x"]


def test_since_a_moment() -> None:
    scene = Scene()
    began_ms = scene.now_ms
    scene.publish(*"abc")
    assert scene.read(ReplayRequest(time_ms=began_ms)) == list("abc")
    assert scene.read(ReplayRequest(time_ms=began_ms + 2000)) == ["c"]
    scene.publish(*"defg")
    assert scene.read(ReplayRequest(time_ms=began_ms + 1000)) == ["expired", *"cdefg"]
    assert scene.read(ReplayRequest(time_ms=began_ms + 2000)) == list("cdefg")
    # What was forgotten as a whole cannot be known to have been nothing.
    assert Scene().read(ReplayRequest(time_ms=1)) == ["expired"]


def test_a_replay_that_would_be_too_long_says_so() -> None:
    scene = Scene(max_bytes=10)
    scene.publish("aaa", "bbb", "ccc")
    assert scene.read(replay=Replay(count=3)) == ["limit", "ccc"]


def test_what_cannot_be_known_is_told() -> None:
    scene = Scene(listening=False)
    scene.publish("a")
    assert scene.read(replay=Replay(count=3)) == ["unavailable"]
    assert scene.read(ReplayRequest(count=3), kept=False) == ["not_kept"]
    scene.listening = True

    async def gone(*_: Any) -> Replayed:
        raise StoreUnavailable("gone")

    scene.store.replay = gone  # type: ignore[method-assign]
    assert scene.read(replay=Replay(count=3)) == ["unavailable"]


async def test_a_crowd_shares_a_read() -> None:
    scene = Scene()
    scene.store.keep("1", "room", KEPT, b"\x81\x02{}")
    replays = Replays(scene.store, lambda: True, 1 << 20, Metrics())
    asked = resolve_replay(HistoryRule(PATTERN, KEPT, replay=Replay(count=3)), None)
    given = await asyncio.gather(*(replays.read("1", "room", asked) for _ in range(50)))
    assert (len(set(given)), scene.reads) == (1, 1)
    await replays.read("1", "room", asked)
    assert scene.reads == 2


async def test_one_that_leaves_does_not_take_the_others_read_with_it() -> None:
    scene = Scene()
    replays = Replays(scene.store, lambda: True, 1 << 20, Metrics())
    asked = resolve_replay(HistoryRule(PATTERN, KEPT, replay=Replay(count=3)), None)
    one, two = (asyncio.ensure_future(replays.read("1", "room", asked)) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    assert (await two).frames == ()
