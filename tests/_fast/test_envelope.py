import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine._fast.envelope import deliver_event, pack_event, pack_terminate, parse_member_change, parse_terminate
from engine._fast.frame import text_frame
from engine._fast.hub import Channel, Hub
from engine._fast.queues import FlushQueue
from engine._fast.traffic import Traffic
from tests._fast.pair import hub_server
from tests.support.waiting import until


async def test_event_reaches_all_but_the_named_socket() -> None:
    async with hub_server() as b:
        (one, peer_one), (two, peer_two) = await b.connect(), await b.connect()
        b.subscribe(one, "room")
        b.subscribe(two, "room")
        channel = b.hub.channel("app", "room")
        assert channel is not None
        assert deliver_event(b.hub, channel, pack_event(one.socket_id.encode(), text_frame(b"a")))
        assert deliver_event(b.hub, channel, pack_event(b"", text_frame(b"b")))
        await until(lambda: len(peer_two.texts) == 2)
        await until(lambda: peer_one.texts)
        assert (peer_one.texts, peer_two.texts) == (["b"], ["a", "b"])


def test_member_changes_are_read_back() -> None:
    packed = b"\x02" + (7).to_bytes(8, "big") + (3).to_bytes(2, "big") + b"ann" + b'{"a":1}'
    assert parse_member_change(packed) == (True, 7, "ann", '{"a":1}')
    assert parse_member_change(b"\x03" + packed[1:14]) == (False, 7, "ann", "")


@pytest.mark.parametrize("reconnect", [True, False])
def test_terminations_are_read_back(reconnect: bool) -> None:
    packed = pack_terminate(reconnect)
    assert parse_member_change(packed) is None
    assert parse_terminate(packed) is reconnect
    assert [parse_terminate(junk) for junk in (b"", b"\x04", b"\x04\x02", b"\x03\x01", packed + b"\x00")] == [None] * 5


@given(st.binary(max_size=80))
def test_bytes_from_redis_are_read_or_refused(junk: bytes) -> None:
    hub, channel = Hub(FlushQueue(lambda *_: None, 1)), Channel("room", Traffic("app"))
    try:
        if not deliver_event(hub, channel, junk):
            parse_member_change(junk)
            parse_terminate(junk)
    except ValueError:  # UnicodeDecodeError is one
        return


@pytest.mark.parametrize(
    "frame",
    [
        *(b"", b"\x81", b"\x81\x05abc", b"\x88\x00", b"\x01\x00", text_frame(b"a") + text_frame(b"b")),
        # Longer heads than their lengths need, which clients may take for a breach.
        *(b"\x81\x7e\x00\x00", b"\x81\x7e\x00\x7d" + bytes(125), b"\x81\x7f" + bytes(6) + b"\xff\xff" + bytes(65535)),
    ],
)
def test_an_event_that_is_not_one_whole_text_frame_is_refused(frame: bytes) -> None:
    hub, channel = Hub(FlushQueue(lambda *_: None, 1)), Channel("room", Traffic("app"))
    with pytest.raises(ValueError, match="frame"):
        deliver_event(hub, channel, pack_event(b"", frame))
