"""The cost of each single thing on one worker with a Redis, as processor time and memory that the kernel charges.

Figures are differences of what processes were charged over a counted piece of work, so a machine that others use makes
them somewhat larger and nothing else.
"""

from __future__ import annotations

import re
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import redis

from benchmarks.load.accounting import usage
from benchmarks.load.hooks import Endpoint, endpoint
from benchmarks.load.load_client import Client, connected
from benchmarks.load.requests import write_requests
from benchmarks.load.servers.base import APP_ID, KEY, SECRET
from engine.cli.sizing import Load
from tests.support.engine import Engine, running
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until

#: Memory is read and idling is measured after so long.
REST_S = 1.5
#: A load begins so long after its clients have come.
SETTLED_S = 0.5
SMALL, LARGE = 100, 4100
#: What client events are told of to the endpoint.
TOLD = "private-told-"
PING = b'{"event":"pusher:ping","data":{}}'
PINGS = 4000
#: Subscribers of an event that many hear.
MANY = 1000
#: Events a second, of which each is an awakening of its own.
RATE = 150
FOREVER_S = 1e12
#: Mixed, with sizes and numbers between those that the costs are of. Nobody comes or goes meanwhile, and nobody pings.
LOADS = (
    Load(2000, publishes=150, subscribers=10, channels=200, joins_per_connection=1, bytes=1000, session_s=1e12),
    Load(
        500,
        client_events=150,
        webhooks=150,
        subscribers=4,
        channels=100,
        joins_per_connection=1,
        bytes=300,
        session_s=1e12,
    ),
    # Far above `RATE`, where most events find the worker awake: how much the model says too much.
    Load(500, publishes=1000, subscribers=10, channels=50, joins_per_connection=1, bytes=300, session_s=1e12),
)
HEAD = (
    f"GET /app/{KEY} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
).encode()


class Spent(NamedTuple):
    """:ivar worker_s: of all workers. :ivar bytes: theirs; read only when asked for, 0 otherwise."""

    worker_s: float
    redis_s: float
    bytes: int
    redis_bytes: int


def _cpu_s(pid: int) -> float:
    """Of all its threads, in nanoseconds as the scheduler counts: /proc/pid/stat has hundredths of a second."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


@dataclass
class Bench:
    """A node that runs, and what it and its Redis were charged."""

    engine: Engine
    server: ValkeyServer
    hooks: Endpoint | None
    folder: Path

    def spent(self, *, memory: bool = False) -> Spent:
        if memory:
            time.sleep(REST_S)
        workers = self.engine.workers()
        with redis.Redis.from_url(self.server.url) as client:
            info = client.info()
        cpu = float(info["used_cpu_sys"]) + float(info["used_cpu_user"])
        return Spent(
            sum(map(_cpu_s, workers)),
            cpu,
            sum(usage(pid, memory=True).pss_kib for pid in workers) * 1024 if memory else 0,
            int(info["used_memory"]),
        )

    def client(self, stack: ExitStack, **options: Any) -> Client:
        port = self.engine.port
        return stack.enter_context(connected(None, {"port": port, "publish_port": port, "warmup": 0, **options}))

    def requests(self, channels: int, size: int, prefix: str = "bench-") -> Path:
        path = self.folder / f"requests-{prefix}{channels}-{size}"
        write_requests(path, self.engine.port, prefix, channels, size)
        return path


@contextmanager
def bench(workers: int = 1, *, webhooks: bool = False) -> Iterator[Bench]:
    with ExitStack() as stack:
        server = stack.enter_context(ValkeyServer())
        hooks = stack.enter_context(endpoint(None)) if webhooks else None  # type: ignore[arg-type]
        app: dict[str, Any] = {"id": APP_ID, "key": KEY, "secret": SECRET, "enable_client_messages": True}
        if hooks is not None:
            app["webhooks"] = [
                {"url": hooks.url, "event_types": ["client_event"], "filter": {"channel_name_starts_with": TOLD}}
            ]
        config = {
            "database": {"redis": {"url": server.url}},
            "app_manager": {"array": {"apps": [app]}},
            "webhooks": {"batching": {"enabled": True, "duration": 50}},
        }
        engine = stack.enter_context(running(config, workers, noise=None))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="costs-")))
        made = Bench(engine, server, hooks, folder)
        with ExitStack() as warm:
            # What is built on first use is no cost of what comes later.
            made.client(warm, conns=300).wait_for("ready")
        time.sleep(REST_S)
        yield made


def measure_costs(rounds: int, seconds: float, number: int) -> tuple[dict[str, float], list[Checked]]:
    """A figure for each field of `engine.cli.sizing.Costs`, and what the loads of `checks.py` took.

    Of each piece of work the median of its rounds counts. All are in each of many short rounds, so that what others do
    on the machine is added to all of them alike. :param number: of connections of each kind.
    """
    found: dict[str, float] = {}
    # With no other engine beside it, which would share its pages and so halve its memory.
    with bench() as alone:
        _connections(alone, found, number)
    with bench() as one, bench(webhooks=True) as telling, bench(workers=2) as two:
        checks = [Checked(two, LOADS[0], 2), Checked(telling, LOADS[1], 1), Checked(one, LOADS[2], 1)]
        events = Events(one, telling, seconds)
        for _ in range(rounds):
            events.measure()
            for check in checks:
                check.measure(seconds)
    events.conclude(found)
    return {name: max(0.0, value) for name, value in found.items()}, checks


def _connections(one: Bench, found: dict[str, float], number: int) -> None:
    """Connections alone, then more with a channel that they share, then more with one each; and their leaving."""
    empty = one.spent(memory=True)
    found["worker_bytes"] = empty.bytes
    found["node_bytes"] = usage(one.engine.process.pid, memory=True).pss_kib * 1024 - empty.bytes
    kinds: list[dict[str, Any]] = [{"subscribe": 0}, {"channels": 1}, {"channels": number}]
    costs: list[list[float]] = []
    stacks: list[ExitStack] = []
    for options in kinds:
        # The others stay: what they leave behind would be the room of these.
        stacks.append(ExitStack())
        before = one.spent(memory=True)
        one.client(stacks[-1], conns=number, window=100, **options).wait_for("ready")
        after = one.spent(memory=True)
        costs.append([(b - a) / number for a, b in zip(before, after, strict=True)])
    for left in reversed(range(len(kinds))):
        before = one.spent()
        stacks[left].close()
        wait_until(lambda left=left: connected_count(one) == left * number)  # type: ignore[misc]
        after = one.spent()
        costs[left][0] += (after.worker_s - before.worker_s) / number
        costs[left][1] += (after.redis_s - before.redis_s) / number
    alone, shared, each = costs
    found["connect_us"] = alone[0] * 1e6
    found["connection_bytes"] = alone[2]
    found["join_us"] = (shared[0] - alone[0]) * 1e6
    found["join_bytes"] = shared[2] - alone[2]
    found["channel_us"] = (each[0] - shared[0]) * 1e6
    found["channel_bytes"] = each[2] - shared[2]
    found["redis_join_us"] = (each[1] - alone[1]) * 1e6
    found["redis_channel_bytes"] = each[3] - alone[3]
    found["ping_us"] = _pings(one)


def connected_count(one: Bench) -> int:
    return sum(map(int, re.findall(r"^sockudo_connected\{[^}]*\} (\d+)", one.engine.metrics(), re.M)))


def _pings(one: Bench) -> float:
    mask = b"\x00" * 4
    frame = bytes([0x81, 0x80 | len(PING)]) + mask + PING
    with socket.create_connection(("127.0.0.1", one.engine.port), timeout=30) as client:
        client.sendall(HEAD)
        read_until(client, b"activity_timeout")
        before = one.spent()
        for _ in range(PINGS):
            client.sendall(frame)
            read_until(client, b"pong")
        return (one.spent().worker_s - before.worker_s) / PINGS * 1e6


def read_until(client: socket.socket, wanted: bytes) -> None:
    data = b""
    while wanted not in data:
        data += client.recv(4096)


class Events:
    """Events at rates at which each is an awakening of its own, as on many workers: flat out they share much."""

    def __init__(self, plain: Bench, telling: Bench, seconds: float) -> None:
        self._plain = plain
        self._telling = telling
        self._seconds = seconds
        #: Of each round, in seconds of workers and of Redis: of all the time, and of one event.
        self._took: dict[str, list[tuple[float, float]]] = {}

    def measure(self) -> None:
        """One round of all of them."""
        before, began = self._plain.spent(), time.monotonic()
        time.sleep(self._seconds)
        after, took_s = self._plain.spent(), time.monotonic() - began
        self._note("rest", (after.worker_s - before.worker_s) / took_s, (after.redis_s - before.redis_s) / took_s)
        for name, rate, size, conns, prefix in (
            ("unheard", RATE, SMALL, 1, "other-"),
            ("heard", RATE, SMALL, 1, "bench-"),
            ("many", 50, SMALL, MANY, "bench-"),
            ("large", RATE, LARGE, 1, "other-"),
            ("many large", 50, LARGE, MANY, "bench-"),
        ):
            requests = self._plain.requests(1, size, prefix)
            self._load(name, self._plain, conns=conns, rate=rate, requests=requests)
        for name, prefix in (("said", "private-bench-"), ("told", TOLD)):
            options = {"mode": "chat", "conns": 100, "channels": 50, "rate": RATE, "prefix": prefix}
            self._load(name, self._telling, event_data="x" * SMALL, **options)

    def conclude(self, found: dict[str, float]) -> None:
        """The costs, by what one kind of event takes more than another."""
        medians = {name: _medians(rounds) for name, rounds in self._took.items()}
        rest = found["worker_cores"], found["redis_worker_cores"] = medians["rest"]
        rates = {"many": 50, "many large": 50}
        worker, redis_ = (
            {name: (took[of] - rest[of] / rates.get(name, RATE)) * 1e6 for name, took in medians.items()}
            for of in (0, 1)
        )
        kb = (LARGE - SMALL) / 1000
        found["publish_kb_us"] = max(0.0, worker["large"] - worker["unheard"]) / kb
        found["publish_us"] = worker["unheard"] - found["publish_kb_us"] * SMALL / 1000
        delivery_us = max(0.0, worker["many"] - worker["heard"]) / (MANY - 1)
        found["delivery_kb_us"] = max(0.0, (worker["many large"] - worker["large"]) / MANY - delivery_us) / kb
        found["delivery_us"] = delivery_us - found["delivery_kb_us"] * SMALL / 1000
        found["arrival_us"] = max(0.0, worker["heard"] - worker["unheard"] - delivery_us)
        # One hears it, beside the one who says it.
        found["client_event_us"] = worker["said"] - found["arrival_us"] - delivery_us
        found["webhook_us"] = worker["told"] - worker["said"]
        found["redis_publish_us"] = redis_["unheard"]
        found["redis_arrival_us"] = redis_["heard"] - redis_["unheard"]
        found["redis_webhook_us"] = redis_["told"] - redis_["said"]

    def _load(self, name: str, node: Bench, **options: Any) -> None:
        with ExitStack() as stack:
            client = node.client(stack, seconds=self._seconds, **options)
            client.wait_for("ready")
            time.sleep(SETTLED_S)
            spent, sent = spent_on(node, client)
        self._note(name, spent.worker_s / sent, spent.redis_s / sent)

    def _note(self, name: str, worker_s: float, redis_s: float) -> None:
        self._took.setdefault(name, []).append((worker_s, redis_s))


def _medians(rounds: list[tuple[float, float]]) -> tuple[float, float]:
    worker, redis_ = zip(*rounds, strict=True)
    return statistics.median(worker), statistics.median(redis_)


class Checked:
    """A load that the costs are not taken from, and what it took. :ivar bytes: of its connections."""

    def __init__(self, node: Bench, load: Load, workers: int) -> None:
        self.load = load
        self.workers = workers
        self.bytes = 0
        self._took: list[tuple[float, float]] = []
        self._node = node

    def measure(self, seconds: float) -> None:
        load, node = self.load, self._node
        conns, channels = int(load.connections), int(load.channels)
        options: dict[str, Any] = {"conns": conns, "channels": channels, "seconds": seconds, "window": 100}
        if load.publishes:
            options |= {"rate": load.publishes, "requests": node.requests(channels, int(load.bytes))}
        else:
            options |= {"mode": "chat", "rate": load.client_events}
            options |= {"prefix": TOLD, "event_data": "x" * int(load.bytes)}
        with ExitStack() as stack:
            empty = node.spent(memory=True)
            client = node.client(stack, **options)
            client.wait_for("ready")
            # Later rounds have the room that the first has left.
            self.bytes = max(self.bytes, node.spent(memory=True).bytes - empty.bytes)
            spent, _ = spent_on(node, client)
        self._took.append((spent.worker_s / seconds, spent.redis_s / seconds))

    @property
    def cores(self) -> tuple[float, float]:
        """Of workers, and of Redis."""
        return _medians(self._took)


def spent_on(one: Bench, client: Client) -> tuple[Spent, int]:
    """What a client's load takes from its start to its stop, and how many it sent."""
    client.go()
    client.wait_for("started")
    before = one.spent()
    client.wait_for("stopped")
    after = one.spent()
    done = client.wait_for("done")
    return Spent(*(b - a for a, b in zip(before, after, strict=True))), done["sent"]
