"""What one connection may join: at once as many channels as it may be in, then so many a second; none is refused."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from engine._fast.connection import Connection
from engine.ws import limits
from engine.ws.limits import count_join
from engine.ws.state import ConnectionState
from tests._fast.pair import Raw, Recorder, hub_server, masked
from tests.support.waiting import until

PER_SECOND = 10


class Joining(Recorder):
    """Takes each message for a channel to join."""

    def opened(self, connection: Connection) -> None:
        super().opened(connection)
        connection.app = SimpleNamespace(max_channels=50)  # type: ignore[assignment]
        connection.state = ConnectionState()

    def message(self, connection: Connection, payload: bytes) -> None:
        super().message(connection, payload)
        count_join(connection, PER_SECOND)


async def test_joins_beyond_the_limit_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1000.0
    monkeypatch.setattr(limits, "monotonic", lambda: now_s)
    async with hub_server() as b:
        b.recorder = Joining()
        client = await Raw.connect(b.port)
        # So long that no two end in one piece of what is read.
        messages = [b"%03d" % number + b"x" * 1000 for number in range(200)]
        client.writer.write(b"".join(masked(0x81, message) for message in messages))
        await until(lambda: len(b.recorder.messages) >= 50)
        rounds = 0
        while len(b.recorder.messages) < 200:
            # One more or less, since tenths are no whole numbers in binary.
            assert abs(len(b.recorder.messages) - (50 + PER_SECOND * rounds)) <= 1
            rounds += 1
            now_s += 1
            b.hub.flush_queue.reads.wake()
            wanted = min(49 + PER_SECOND * rounds, 200)
            await until(lambda: len(b.recorder.messages) >= wanted)  # noqa: B023
        assert b.recorder.messages == messages
        b.hub.flush_queue.reads.wake()  # to hear of the client's end
        await client.end()
