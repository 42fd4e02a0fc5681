"""The hot functions on fixed inputs, run inside valgrind by `python -m benchmarks.instructions`.

A case whose name ends in @N does its work for N subscribers; what one more of them costs is the difference of two.
"""

from __future__ import annotations

import hmac
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.instructions.counting import Marks
from benchmarks.micro.sockets import sockets
from benchmarks.micro.worker import (
    ClientTransport,
    Worker,
    batch_request,
    local_api,
    publish_request,
    publish_target,
    subscribe,
    worker,
)
from engine._fast.client_event import PlainClientEvents
from engine._fast.connection import Connection
from engine._fast.envelope import deliver_event, pack_event
from engine._fast.frame import spliced_frame, text_frame
from engine._fast.hub import Hub, Pending
from engine._fast.log_link import LogLink
from engine._fast.queues import FlushQueue
from engine._fast.recent_events import RecentEvents
from engine._fast.signature import Signer
from engine._fast.topic_events import TopicEvents
from engine.adapter.shared_memory_files import LogFiles
from engine.app import App
from engine.apps.build import build_apps
from engine.config.loading.load import load
from engine.metrics.metrics import Metrics
from engine.protocol import messages
from engine.protocol.json_values import dumps
from engine.webhooks.emitter import Emitter
from engine.webhooks.event import WebhookEvent
from engine.worker.traffic_metrics import latency_of
from engine.ws.client_events import are_reported, only_sent
from engine.ws.state import ConnectionState

#: Fewer than the 64 after which a flush looks at the clock, which is no fixed input.
FEW, MORE = 10, 60
PIPELINED = 16
BATCH = 10
CLIENTS = 10
SECRET = "7ad3773142a6692b25b8"
DATA = '{"message":"' + "x" * 80 + '"}'
SUBSCRIBE = b'{"event":"pusher:subscribe","data":{"channel":"private-bench-0","auth":"app-key:' + b"0" * 64 + b'"}}'
SIGNED = b"POST\n/apps/app-id/events\nauth_key=app-key&auth_timestamp=1700000000&auth_version=1.0&body_md5=" + b"0" * 32


def main(library: Path) -> None:
    marks = Marks(library)
    with sockets(FEW) as few, sockets(MORE) as more, worker() as made:
        frame = text_frame(messages.channel_event("tick", "bench-0", DATA))
        marks.begin()
        try:
            for name, times, work in small_cases():
                marks.count(name, times, work)
            for subscribers in (FEW, MORE):
                marks.count(f"deliver@{subscribers}", 100, deliver_case(subscribers, frame))
            for served, client in (few, more):
                count = len(served.channel)
                marks.count(f"broadcast@{count}", 100, lambda served=served: served.broadcast(frame), client.count)
            count_connects(marks, made)
            subscribe(made.parts.hub, "bench-0", 1)
            requests = publish_request("bench-0") * PIPELINED
            marks.count("publish_from_gate_x16", 20, lambda: made.serve(requests, PIPELINED))
            batches = batch_request("bench-0", BATCH) * PIPELINED
            marks.count(f"publish_batch_of_{BATCH}_from_gate_x16", 20, lambda: made.serve(batches, PIPELINED))
            cached = publish_request("cache-bench-0") * PIPELINED
            marks.count("publish_to_cache_from_gate_x16", 20, lambda: made.serve(cached, PIPELINED))
        finally:
            # Whatever goes wrong: nothing stops while time stands still.
            marks.end()


def count_connects(marks: Marks, made: Worker) -> None:
    """From an upgrade request to the acknowledged subscription, ten at a time."""
    clients: list[ClientTransport] = []

    def connect() -> None:
        made.connect_and_subscribe(clients)

    def renew() -> None:
        if clients:
            made.lose(clients)
        clients[:] = [ClientTransport() for _ in range(CLIENTS)]

    renew()
    marks.count(f"connect_and_subscribe_x{CLIENTS}", 20, connect, renew)
    for client in clients:
        client.lose()


def small_cases() -> list[tuple[str, int, Callable[[], object]]]:
    signer = Signer(SECRET)
    signature = hmac.digest(SECRET.encode(), SIGNED, "sha256").hex()
    hub = Hub(FlushQueue(lambda callback: None, 1 << 20))
    channel = hub.open("app", "bench-0")
    newcomer = Connection("1.1", None, hub.traffic("app"), None, hub.flush_queue, 65536)  # type: ignore[arg-type]

    def build_frame() -> bytes:
        prefix, suffix = messages.channel_event_parts("tick", DATA)
        return spliced_frame(prefix, dumps("bench-0"), suffix)

    def come_and_go() -> None:
        Pending(channel, newcomer).activate(0, [])
        hub.leave(newcomer, channel)

    return [
        ("frame", 1000, build_frame),
        ("signature", 1000, lambda: signer.verify(SIGNED, signature)),
        ("parse_subscribe", 1000, lambda: messages.parse(SUBSCRIBE)),
        ("subscribe_and_leave", 1000, come_and_go),
        ("pack_envelope", 1000, lambda: pack_event(b"1.1", SIGNED)),
        ("publish_api", 100, api_case()),
        ("client_event", 100, client_event_case(told=False)),
        ("client_event_told", 100, client_event_case(told=True)),
        ("between_workers_x16", 100, between_workers(wanted=True)),
        ("between_workers_passed_over_x16", 100, between_workers(wanted=False)),
        ("heard_through_redis_x16", 100, heard_through_redis()),
    ]


def between_workers(*, wanted: bool) -> Callable[[], object]:
    """Events of one loop turn from a worker without subscribers to another. :param wanted: which has one for them."""
    files = LogFiles.create(2, 10_000)
    due: list[Any] = []
    hubs = [Hub(FlushQueue(due.append, 1 << 20)) for _ in range(2)]
    sender, receiver = [LogLink(files.open(n), hub, print, print) for n, hub in enumerate(hubs)]
    for link in (sender, receiver):
        link.log.join()
        link.read()
    channel = "bench-0" if wanted else "bench-1"
    subscribe(hubs[1], channel, 1)
    receiver.listen(hubs[1].open("app-id", channel))
    frame = text_frame(messages.channel_event("tick", "bench-0", DATA))

    def share() -> None:
        for _ in range(PIPELINED):
            sender.publish("app-id", "bench-0", frame)
        while due:
            due.pop()()
        receiver.read()
        while due:
            due.pop()()

    return share


def heard_through_redis() -> Callable[[], object]:
    """Events of other workers, as they come in one read of the connection that subscribes, to one subscriber here."""
    due: list[Any] = []
    hub = Hub(FlushQueue(due.append, 1 << 20))
    subscribe(hub, "bench-0", 1)
    topic = b"engine:app-id/bench-0"
    reader = TopicEvents(hub, {topic: hub.open("app-id", "bench-0")}, RecentEvents()).reader(b"message")
    envelope = pack_event(b"1.1", text_frame(messages.channel_event("tick", "bench-0", DATA)))
    message = b"*3\r\n$7\r\nmessage\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(topic), topic, len(envelope), envelope)

    def hear() -> None:
        reader.feed(message * PIPELINED)
        assert reader.gets() is False
        while due:
            due.pop()()

    return hear


def client_event_case(*, told: bool) -> Callable[[], object]:
    """A client's event to one other subscriber. :param told: a webhook event is made of it, and goes nowhere."""
    due: list[Any] = []
    hub = Hub(FlushQueue(due.append, 1 << 20))
    endpoints = [{"url": "https://127.0.0.1/", "event_types": ["client_event"]}] if told else []
    entry = {"id": "app-id", "key": "key", "secret": SECRET, "enable_client_messages": True, "webhooks": endpoints}
    (app,) = build_apps(load(None, {}, 1, {"app_manager.array.apps": [entry]}).config)
    emitter = Emitter(Nowhere(), lambda: 1_700_000_000_000)
    events = PlainClientEvents(hub, None, Metrics().events.by_clients, only_sent, are_reported, emitter.client_event)
    channel = "private-bench-0"
    subscribe(hub, channel, 1)
    sender = Connection("2.1", None, hub.traffic("app-id"), None, hub.flush_queue, 65536)  # type: ignore[arg-type]
    sender.app, sender.state = app, ConnectionState()
    Pending(hub.open("app-id", channel), sender).activate(0, [])
    payload = b'{"event":"client-tick","channel":"private-bench-0","data":%b}' % DATA.encode()

    def send() -> None:
        assert events.take(sender, payload)
        while due:
            due.pop()()

    return send


class Nowhere:
    """Where webhook events go here."""

    def add(self, app: App, event: WebhookEvent) -> None:
        """Nobody asks for it."""


def api_case() -> Callable[[], object]:
    """Signature, digest, body and frame of a publish; nobody else is waited for."""
    due: list[Any] = []
    hub = Hub(FlushQueue(due.append, 1 << 20))
    subscribe(hub, "bench-0", 1)
    api = local_api(hub)
    body = b'{"name":"tick","channels":["bench-0"],"data":"' + b"x" * 100 + b'"}'
    target = publish_target(body).encode()

    def handle() -> None:
        try:
            api.handle("POST", target, body).send(None)
        except StopIteration as done:
            assert done.value.status == 200
        due.pop()()

    return handle


def deliver_case(subscribers: int, frame: bytes) -> Callable[[], object]:
    """An envelope to subscribers without sockets, timed as a worker does."""
    due: list[Any] = []
    hub = Hub(FlushQueue(due.append, 1 << 20), latency_of(Metrics().events))
    subscribe(hub, "bench-0", subscribers)
    channel = hub.open("app-id", "bench-0")
    envelope = pack_event(b"", frame)

    def deliver() -> None:
        deliver_event(hub, channel, envelope)
        while due:
            due.pop()()

    return deliver


if __name__ == "__main__":
    main(Path(sys.argv[1]))
