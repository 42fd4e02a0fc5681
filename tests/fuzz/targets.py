"""What is fuzzed: each target takes any bytes, and raises only where the engine is at fault.

`make fuzz` feeds them by coverage, with sanitizers in the compiled modules; `test_targets.py` plays what that has kept.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from engine._fast.connection import Connection
from engine._fast.envelope import deliver_event, parse_member_change, parse_terminate, parse_total, read_event
from engine._fast.frame import payload_of, text_frame
from engine._fast.hub import Hub, Pending
from engine._fast.parser import Parsers
from engine._fast.queues import FlushQueue
from engine._fast.shared_log import SharedLog, log_bytes
from engine.app import Filter
from engine.config.loading.load import load
from engine.config.patterns import compile_pattern
from engine.errors import ConfigError, PusherError
from engine.protocol import auth, messages
from engine.protocol.channel import channel_kind, user_of, valid_channel_name
from engine.protocol.forwarded import forwarded
from engine.protocol.proxy_header import ProxyHeaderError, read_header
from engine.webhooks.filter import _passes
from engine.worker.listener import Gate
from tests.fuzz import publish_sides
from tests.fuzz.message_sides import Subscriber, difference
from tests.fuzz.publish_sides import APPS, AioHttp, Side
from tests.fuzz.transport import Transport
from tests.http.serving import NOW_S, make_app
from tests.support.signing import signed_query

Target = Callable[[bytes], None]
MAX_MESSAGE_BYTES = 1000


class Heard:
    """A handler of connections that answers each message with itself."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def opened(self, connection: Connection) -> None:
        self.told.append("opened")

    def message(self, connection: Connection, payload: bytes) -> None:
        self.told.append(payload)
        connection.send(text_frame(payload))

    def leaving(self, connection: Connection) -> None:
        self.told.append(("leaving", connection.close_code))

    def closed(self, connection: Connection, code: int, reason: str) -> None:
        self.told.append(("closed", code, reason))


class _Faults:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def frames() -> Target:
    """Frames of a client, whole and cut: both ways the same is heard and answered."""
    parsers = Parsers(MAX_MESSAGE_BYTES, _Faults())  # type: ignore[arg-type]

    def play(pieces: list[bytes]) -> tuple[list[object], bytes]:
        turns: list[Callable[[], None]] = []
        hub = Hub(FlushQueue(turns.append, 1 << 20))
        heard, transport = Heard(), Transport()
        connection = Connection("1.1", None, hub.traffic("app"), heard, hub.flush_queue, MAX_MESSAGE_BYTES)
        connection.open(transport, parsers, b"")  # type: ignore[arg-type]
        for piece in pieces:
            if not transport.closed:
                connection.data_received(piece)
            while turns:
                turns.pop(0)()
        connection.connection_lost(None)
        while turns:
            turns.pop(0)()
        return heard.told, bytes(transport.written)

    def run(data: bytes) -> None:
        size = data[0] % 40 + 1 if data else 1
        whole, cut = play([data[1:]]), play([data[at : at + size] for at in range(1, len(data), size)])
        assert whole == cut, "heard otherwise when it comes in pieces"

    return run


def gate() -> Target:
    """The first bytes of a connection, whole and byte by byte: the same way with the same bytes."""

    def play(pieces: list[bytes]) -> list[object]:
        went: list[object] = []

        def way(name: str) -> Callable[[object, bytes, object], None]:
            return lambda transport, data, source: went.append((name, data))

        listener = SimpleNamespace(
            publish_head=b"POST /apps/",
            websocket_head=b"GET /app/",
            max_head_bytes=64,
            to_publish=way("publish"),
            to_http=way("http"),
            to_websocket=way("websocket"),
            full=lambda: False,
            undecided=lambda gate: None,
            decided=lambda gate: None,
            look_for_mistakes=lambda data: None,
        )
        one = Gate(listener)  # type: ignore[arg-type]
        one.connection_made(Transport())  # type: ignore[arg-type]
        for number, piece in enumerate(pieces):
            one.data_received(piece)
            if went:
                return [went[0][0], went[0][1] + b"".join(pieces[number + 1 :])]  # type: ignore[index]
        return went

    def run(data: bytes) -> None:
        whole = play([data]) if data else []
        assert play([data[at : at + 1] for at in range(len(data))]) == whole, "another way when it comes in pieces"
        try:
            read_header(data or b"P")
        except ProxyHeaderError:
            pass
        forwarded([data.decode("latin-1")])

    return run


def publishes() -> Target:
    """A publish, as it comes or with a good signature for its body, whole or cut: C and Python do the same with it."""
    plain, python, aiohttp = Side(plain=True), Side(plain=False), AioHttp()

    def run(data: bytes) -> None:
        how, data = data[0] if data else 0, data[1:]
        if how & 1:
            lines, _, body = data.partition(b"\n\n")
            app = APPS[how >> 3 & 7] if how >> 3 & 7 < len(APPS) else APPS[0]
            path = f"/apps/{app.id}/{'batch_events' if how & 2 else 'events'}"
            query = urllib.parse.urlencode(signed_query(app.key, app.secret, "POST", path, body, {}, NOW_S))
            head = f"POST {path}?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n".encode()
            more = b"".join(line + b"\r\n" for line in lines.split(b"\n") if line)
            data = head + more + b"\r\n" + body
        size = 7 if how & 4 else len(data)
        pieces = [data[at : at + size] for at in range(0, len(data), size or 1)] or [b"P"]
        found = publish_sides.difference(pieces, plain, python, aiohttp)
        assert not found, found

    return run


def client_messages() -> Target:
    """Text of a client: understood, or refused with an error that is meant for it."""
    app = make_app()

    def run(data: bytes) -> None:
        try:
            message = messages.parse(data)
        except PusherError:
            return
        for read in (messages.subscribe_request, messages.unsubscribe_channel, messages.signin_request):
            try:
                asked: Any = read(message)
            except PusherError:
                continue
            try:
                if isinstance(asked, messages.SubscribeRequest):
                    valid_channel_name(asked.channel, 200)
                    channel_kind(asked.channel)
                    user_of(asked.channel)
                    members = auth.json_members(asked.channel_data)
                    auth.parse_channel_data(app, asked.channel, members)
                    if members is not None:
                        auth.parse_replay(asked.channel, members)
                    auth.verify_channel_auth(app, "1.1", asked.channel, asked.auth or "", asked.channel_data)
                elif isinstance(asked, messages.SigninRequest):
                    auth.parse_user_data(asked.user_data)
                    auth.verify_signin(app, "1.1", asked.auth, asked.user_data)
            except PusherError:
                continue

    return run


def envelope() -> Target:
    """What comes from Redis on a channel's topic: delivered, read, or refused as no value."""
    turns: list[Callable[[], None]] = []
    hub = Hub(FlushQueue(turns.append, 1 << 20))
    transport = Transport()
    connection = Connection("1.1", None, hub.traffic("app"), Heard(), hub.flush_queue, MAX_MESSAGE_BYTES)
    connection.open(transport, Parsers(MAX_MESSAGE_BYTES, _Faults()), b"")  # type: ignore[arg-type]
    hub.add(connection)
    channel = hub.open("app", "room")
    Pending(channel, connection).activate(0, [])

    def run(data: bytes) -> None:
        for read in (read_event, parse_member_change, parse_total, parse_terminate):
            try:
                read(data)
            except ValueError:
                pass
        transport.written.clear()
        try:
            delivered = deliver_event(hub, channel, data)
        except ValueError:
            delivered = False
        while turns:
            turns.pop(0)()
        if not delivered:
            assert not transport.written, "written although it was refused"
        elif transport.written:
            # Raises ValueError for what is not one whole frame.
            payload_of(bytes(transport.written))

    return run


def shared_log() -> Target:
    """Workers that write, read and sleep in any order: nothing is read that was not said, nor out of order."""
    places, arena, workers = 16, 1024, 3
    size = log_bytes(workers, places, arena)
    memory = os.memfd_create("fuzz")
    wakers = [os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK) for _ in range(workers)]

    def run(data: bytes) -> None:
        os.ftruncate(memory, 0)
        os.ftruncate(memory, size)
        logs = [SharedLog(memory, wakers, number, places, arena) for number in range(workers)]
        for log in logs:
            log.join()
        said: list[tuple[bytes, bytes]] = []
        at = [0] * workers
        wanted: list[list[bytes]] = [[] for _ in range(workers)]
        for word, more in zip(data[::2], data[1::2], strict=False):
            me, topic = word % workers, b"t%d" % (more % 4)
            log = logs[me]
            match word // workers % 6:
                case 0 | 1:
                    message = b"%d." % len(said) + b"x" * more * (word // 18 % 3)
                    if log.append(topic, message):
                        said.append((topic, message))
                case 2:
                    for found in log.take(more % 8):
                        at[me] = said.index(found, at[me]) + 1
                case 3:
                    log.want(topic)
                    wanted[me].append(topic)
                case 4 if topic in wanted[me]:
                    log.unwant(topic)
                    wanted[me].remove(topic)
                case _:
                    log.sleep()

    return run


def resp() -> Target:
    """What answers on the connection that subscribes: read alike by C and by hiredis-py, whole and in pieces."""
    plain, python = Subscriber(plain=True), Subscriber(plain=False)

    def run(data: bytes) -> None:
        found = difference(data, 3, plain, python)
        assert not found, found

    return run


def configuration() -> Target:
    """A configuration file: read, or refused with lines that name what is wrong."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))

    def run(data: bytes) -> None:
        file = folder / ("config.json" if data[:1] != b"#" else "config.toml")
        file.write_bytes(data)
        try:
            load(file, {}, 1)
        except ConfigError as error:
            assert str(error), "refused without a word"

    return run


def filters() -> Target:
    """A filter of webhooks and a channel's name: the same verdict each time, and an error only for the pattern."""

    def run(data: bytes) -> None:
        pattern, _, name = data.decode("utf-8", "replace").partition("\n")
        try:
            compiled = compile_pattern(pattern)
        except ValueError:
            compiled = None
        for rule in (
            Filter(channel_pattern=compiled),
            Filter(channel_prefix=pattern, channel_suffix=pattern[::-1]),
            Filter(channel_type="presence", channel_namespaces=frozenset({pattern})),
        ):
            assert _passes(rule, name) == _passes(rule, name)
        assert compiled is None or compile_pattern(pattern) == compiled

    return run


TARGETS: dict[str, Callable[[], Target]] = {
    "frames": frames,
    "gate": gate,
    "publishes": publishes,
    "client-messages": client_messages,
    "envelope": envelope,
    "shared-log": shared_log,
    "resp": resp,
    "configuration": configuration,
    "filters": filters,
}
CORPUS = Path(__file__).parent / "corpus"


def corpus(name: str) -> list[bytes]:
    """What is kept of a target: a JSON list of texts, one character for each byte."""
    kept: list[str] = json.loads((CORPUS / f"{name}.json").read_text())
    return [each.encode("latin-1") for each in kept]


def keep(name: str, inputs: list[bytes]) -> None:
    texts = [each.decode("latin-1") for each in sorted(inputs, key=lambda each: (len(each), each))]
    (CORPUS / f"{name}.json").write_text(json.dumps(texts, indent=0) + "\n")


def in_a_loop(name: str, inputs: list[bytes]) -> None:
    """Play a target's inputs; some of what they reach asks for the running loop."""

    async def play() -> None:
        target = TARGETS[name]()
        for each in inputs:
            target(each)

    asyncio.run(play())
