"""One connection against a real client: messages in, frames out, every way of ending."""

import asyncio

from picows import WSMsgType

from engine._fast.frame import text_frame
from engine.errors import CloseCode
from tests._fast.pair import MAX_MESSAGE_BYTES, Raw, hub_server, masked
from tests.support.waiting import until

BIG = text_frame(b"x" * 50_000)
UNMASKED = b"Received un-masked frame from client, RFC 6455 section 5.1 forbids this"


async def test_messages_and_fragments_come_up_whole() -> None:
    async with hub_server() as b:
        _, peer = await b.connect()
        assert peer.transport is not None
        peer.send("one")
        peer.transport.send(WSMsgType.TEXT, b"tw", fin=False)
        peer.transport.send(WSMsgType.PING, b"?")
        peer.transport.send(WSMsgType.CONTINUATION, b"o", fin=True)
        peer.transport.send(WSMsgType.BINARY, b"three")
        await until(lambda: len(b.recorder.messages) == 3)
        assert b.recorder.messages == [b"one", b"two", b"three"]
        await until(lambda: peer.pongs)
        assert peer.pongs == [b"?"]


async def test_a_message_too_big_in_fragments_closes_with_1009() -> None:
    async with hub_server() as b:
        _, peer = await b.connect()
        assert peer.transport is not None
        peer.transport.send(WSMsgType.TEXT, b"x" * MAX_MESSAGE_BYTES, fin=False)
        peer.transport.send(WSMsgType.CONTINUATION, b"x", fin=True)
        await until(lambda: peer.close_code)
        assert peer.close_code == 1009
        await until(lambda: b.recorder.closed_)
        assert b.recorder.closed_[0][1] == 1009
        assert b.recorder.messages == []


async def test_a_frame_too_big_closes_with_1009_and_says_so_to_the_handler() -> None:
    async with hub_server() as b:
        _, peer = await b.connect()
        peer.send("x" * (MAX_MESSAGE_BYTES + 1))
        await until(lambda: peer.close_code)
        assert peer.close_code == 1009
        await until(lambda: b.recorder.closed_)
        assert b.recorder.closed_[0][1] == 1009


async def test_close_sends_what_is_queued_and_then_nothing() -> None:
    async with hub_server() as b:
        connection, peer = await b.connect()
        connection.send(text_frame(b"last"))
        connection.close(4009, "bye")
        connection.send(text_frame(b"never"))
        await peer.gone.wait()
        assert (peer.texts, peer.close_code) == (["last"], 4009)
        await until(lambda: b.recorder.closed_)
        assert b.recorder.closed_ == [(connection.socket_id, 4009, "bye")]


async def test_the_clients_close_is_answered_and_reported() -> None:
    async with hub_server() as b:
        connection, peer = await b.connect()
        assert peer.transport is not None
        peer.transport.send_close(1000, "done")
        await until(lambda: b.recorder.closed_)
        assert b.recorder.closed_ == [(connection.socket_id, 1000, "done")]


async def test_a_dropped_socket_is_reported_as_abnormal() -> None:
    async with hub_server() as b:
        connection, peer = await b.connect()
        assert peer.transport is not None
        peer.transport.underlying_transport.abort()
        await until(lambda: b.recorder.closed_)
        assert b.recorder.closed_ == [(connection.socket_id, 1006, "")]
        assert connection.traffic.connections == 0


async def test_a_client_that_does_not_read_is_cut_off_alone() -> None:
    async with hub_server(max_waiting_bytes=200_000) as b:
        slow, slow_peer = await b.connect(rcvbuf=4096)
        quick, quick_peer = await b.connect()
        b.subscribe(slow, "room")
        b.subscribe(quick, "room")
        assert slow_peer.transport is not None
        slow_peer.transport.underlying_transport.pause_reading()
        channel = b.hub.channel("app", "room")
        assert channel is not None
        sent = 0
        while not slow.closing:
            channel.broadcast(BIG)
            sent += 1
            assert sent < 1000
            await until(lambda: len(quick_peer.texts) == sent)  # noqa: B023
        assert slow.close_code == CloseCode.OVER_CAPACITY
        assert b.hub.flush_queue.slow_consumers == 1
        assert not quick.closing
        # Nothing more is queued for it, and it was told of, to be ended should it go on not reading.
        channel.broadcast(BIG)
        assert b.recorder.left == [slow]
        slow.abort()
        await until(lambda: b.recorder.closed_)
        assert b.recorder.closed_[0][:2] == (slow.socket_id, 4100)


async def test_a_client_that_pauses_gets_everything_in_order() -> None:
    async with hub_server(max_waiting_bytes=100_000_000) as b:
        connection, peer = await b.connect(rcvbuf=4096)
        assert peer.transport is not None
        peer.transport.underlying_transport.pause_reading()
        for i in range(200):
            connection.send(text_frame(b"%d " % i + b"x" * 20_000))
            if i % 10 == 0:
                await asyncio.sleep(0)
        peer.transport.underlying_transport.resume_reading()
        await until(lambda: len(peer.texts) == 200)
        assert [int(text.split()[0]) for text in peer.texts] == list(range(200))


async def test_sweep_pings_the_silent_and_names_those_that_stay_silent() -> None:
    async with hub_server() as b:
        connection, peer = await b.connect()
        ping = text_frame(b"ping")
        assert b.hub.sweep(ping, ping, 120, 30) == ([], 0)
        assert b.hub.sweep(ping, ping, 0, 30) == ([], 1)
        await until(lambda: peer.texts == ["ping"])
        assert connection.pinged
        assert b.hub.sweep(ping, ping, 0, 0)[0] == [connection]
        peer.send("alive")
        await until(lambda: b.recorder.messages)
        assert not connection.pinged


async def test_frames_in_pieces_from_many_clients_at_once_come_up_whole() -> None:
    async with hub_server() as b:
        clients = [await Raw.connect(b.port) for _ in range(5)]
        texts = [b"%d:" % i + bytes([97 + i]) * size for i, size in enumerate((0, 100, 200, 5_000, 60_000))]
        # A whole frame and the beginning of the next one, for each; then the rest, in turns and in small pieces.
        streams = [masked(0x81, text) * 3 for text in texts]
        at = [0] * len(clients)
        while any(at[i] < len(streams[i]) for i in range(len(clients))):
            for i, client in enumerate(clients):
                piece = max(1, len(streams[i]) // 7)
                client.writer.write(streams[i][at[i] : at[i] + piece])
                at[i] += piece
            await asyncio.sleep(0)
        await until(lambda: len(b.recorder.messages) == 3 * len(clients))
        assert sorted(b.recorder.messages) == sorted(texts * 3)
        for client in clients:
            await client.end()


async def test_one_clients_breach_and_close_are_nobody_elses() -> None:
    async with hub_server() as b:
        other = await Raw.connect(b.port)
        for closed, wrong in enumerate(
            (
                masked(0x83, b"reserved opcode"),
                b"\x81\x01x",  # not masked
                masked(0x88, b"\x03\xe8"),
                masked(0x88, b"\x03\xe8"),
                masked(0x81, b"half a message")[:-3],
            )
        ):
            breaker = await Raw.connect(b.port)
            breaker.writer.write(wrong)
            other.writer.write(masked(0x81, b"%d" % closed))
            await until(lambda: len(b.recorder.messages) == closed + 1)  # noqa: B023
            await breaker.end()
            await until(lambda: len(b.recorder.closed_) == closed + 1)  # noqa: B023
        assert b.recorder.messages == [b"0", b"1", b"2", b"3", b"4"]
        assert [code for _, code, _ in b.recorder.closed_] == [1002, 1002, 1000, 1000, 1006]
        await other.end()


async def test_what_comes_with_the_upgrade_request_is_read() -> None:
    async with hub_server() as b:
        good = await Raw.connect(b.port, masked(0x81, b"early"))
        await until(lambda: b.recorder.messages == [b"early"])
        bad = await Raw.connect(b.port, b"\x81\x01x")
        assert bad.status == 101
        assert await bad.reader.readexactly(4) == b"\x88" + bytes([len(UNMASKED) + 2]) + b"\x03\xea"
        for client in (good, bad):
            await client.end()
