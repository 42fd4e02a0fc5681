"""The cost of each single thing on one worker with a Redis, as processor time and memory that the kernel charges.

Figures are differences of what processes were charged over a counted piece of work, so a machine that others use makes
them somewhat larger and nothing else.
"""

from __future__ import annotations

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

from benchmarks.costs.connections import measure_connections
from benchmarks.costs.rates import rising
from benchmarks.load.accounting import usage
from benchmarks.load.hooks import Endpoint, endpoint
from benchmarks.load.load_client import Client, connected
from benchmarks.load.requests import write_requests
from benchmarks.load.servers.base import APP_ID, KEY, SECRET
from engine.cli.sizing import RATES, Load, Rated
from tests.support.engine import Engine, running
from tests.support.valkey import ValkeyServer

#: Memory is read and idling is measured after so long.
REST_S = 1.5
#: A load begins so long after its clients have come.
SETTLED_S = 0.5
SMALL, LARGE = 100, 4100
#: What client events are told of to the endpoint.
TOLD = "private-told-"
PING = b'{"event":"pusher:ping","data":{}}'
#: Subscribers of an event that many hear.
MANY = 1000
#: Events a second that tell what a kB costs, and what a ping does; many hear `MANY_RATE`.
KB_RATE, RATE, MANY_RATE = RATES[1], RATES[0], 50
FOREVER_S = 1e12
#: Mixed, with sizes, rates and numbers between those that the costs are of. Nobody comes, goes or pings meanwhile.
LOADS = (
    Load(2000, publishes=150, subscribers=10, channels=200, joins_per_connection=1, bytes=1000, session_s=FOREVER_S),
    Load(
        500,
        client_events=150,
        webhooks=150,
        subscribers=4,
        channels=100,
        joins_per_connection=1,
        bytes=300,
        session_s=FOREVER_S,
    ),
    Load(500, publishes=1000, subscribers=10, channels=50, joins_per_connection=1, bytes=300, session_s=FOREVER_S),
    Load(500, publishes=350, subscribers=50, channels=10, joins_per_connection=1, bytes=200, session_s=FOREVER_S),
    Load(1000, publishes=2500, subscribers=2, channels=500, joins_per_connection=1, bytes=150, session_s=FOREVER_S),
    Load(
        500,
        client_events=400,
        webhooks=400,
        subscribers=4,
        channels=100,
        joins_per_connection=1,
        bytes=300,
        session_s=FOREVER_S,
    ),
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


def measure_costs(rounds: int, seconds: float, number: int) -> tuple[dict[str, float | Rated], list[Checked]]:
    """A figure for each field of `engine.cli.sizing.Costs`, and what the loads of `checks.py` took.

    Of each piece of work the median of its rounds counts. All are in each of many short rounds, so that what others do
    on the machine is added to all of them alike. :param number: of connections of each kind.
    """
    found: dict[str, Any] = {}
    # With no other engine beside it, which would share its pages and so halve its memory.
    with bench() as alone:
        measure_connections(alone, found, number)
    with bench() as one, bench(webhooks=True) as telling, bench(workers=2) as two:
        nodes = ((two, 2), (telling, 1), (one, 1), (one, 1), (two, 2), (telling, 1))
        checks = [Checked(node, load, workers) for load, (node, workers) in zip(LOADS, nodes, strict=True)]
        events = Events(one, telling, seconds)
        for _ in range(rounds):
            events.measure()
            for check in checks:
                check.measure(seconds)
    events.conclude(found)
    return found, checks


def _pings(one: Bench, seconds: float) -> tuple[float, float]:
    """What one takes of the worker and of Redis, with all that the time beside it takes."""
    number = int(seconds * RATE)
    frame = bytes([0x81, 0x80 | len(PING)]) + b"\x00" * 4 + PING
    with socket.create_connection(("127.0.0.1", one.engine.port), timeout=30) as client:
        client.sendall(HEAD)
        read_until(client, b"activity_timeout")
        before, began = one.spent(), time.monotonic()
        for sent in range(number):
            time.sleep(max(0.0, began + sent / RATE - time.monotonic()))
            client.sendall(frame)
            read_until(client, b"pong")
        after = one.spent()
    return (after.worker_s - before.worker_s) / number, (after.redis_s - before.redis_s) / number


def read_until(client: socket.socket, wanted: bytes) -> None:
    data = b""
    while wanted not in data:
        data += client.recv(4096)


class Events:
    """Events at each of `RATES`: of few each wakes the worker and Redis by itself, many share an awakening."""

    def __init__(self, plain: Bench, telling: Bench, seconds: float) -> None:
        self._plain = plain
        self._telling = telling
        self._seconds = seconds
        #: Of each round, by name and rate, in seconds of workers and of Redis: of all the time, and of one event.
        self._took: dict[tuple[str, float], list[tuple[float, float]]] = {}

    def measure(self) -> None:
        """One round of all of them."""
        before, began = self._plain.spent(), time.monotonic()
        time.sleep(self._seconds)
        after, took_s = self._plain.spent(), time.monotonic() - began
        # As if it came once a second.
        self._note("rest", 1, (after.worker_s - before.worker_s) / took_s, (after.redis_s - before.redis_s) / took_s)
        self._note("ping", RATE, *_pings(self._plain, self._seconds))
        for name, rate, size, conns, prefix in (
            *(("unheard", rate, SMALL, 1, "other-") for rate in RATES),
            *(("heard", rate, SMALL, 1, "bench-") for rate in RATES),
            ("many", MANY_RATE, SMALL, MANY, "bench-"),
            ("large", KB_RATE, LARGE, 1, "other-"),
            ("many large", MANY_RATE, LARGE, MANY, "bench-"),
        ):
            requests = self._plain.requests(1, size, prefix)
            self._load(name, self._plain, conns=conns, rate=rate, requests=requests)
        for name, prefix in (("said", "private-bench-"), ("told", TOLD)):
            for rate in RATES:
                options = {"mode": "chat", "conns": 100, "channels": 50, "rate": rate, "prefix": prefix}
                self._load(name, self._telling, event_data="x" * SMALL, **options)

    def conclude(self, found: dict[str, Any]) -> None:
        """The costs, by what one kind of event takes more than another."""
        medians = {key: _medians(rounds) for key, rounds in self._took.items()}
        rest = found["worker_cores"], found["redis_worker_cores"] = medians.pop(("rest", 1))
        worker, redis_ = (
            {(name, rate): (took[of] - rest[of] / rate) * 1e6 for (name, rate), took in medians.items()}
            for of in (0, 1)
        )
        kb = (LARGE - SMALL) / 1000
        found["ping_us"] = max(0.0, worker["ping", RATE])
        publish_kb_us = max(0.0, worker["large", KB_RATE] - worker["unheard", KB_RATE]) / kb
        delivery_us = max(0.0, worker["many", MANY_RATE] - worker["heard", RATE]) / (MANY - 1)
        many_kb_us = (worker["many large", MANY_RATE] - worker["many", MANY_RATE]) / kb
        delivery_kb_us = max(0.0, many_kb_us - publish_kb_us) / MANY
        found["publish_kb_us"], found["delivery_kb_us"] = publish_kb_us, delivery_kb_us
        found["delivery_us"] = delivery_us - delivery_kb_us * SMALL / 1000

        def rated(took: dict[tuple[str, float], float], name: str, less: str = "", without_us: float = 0.0) -> Rated:
            return rising(took[name, rate] - (took[less, rate] if less else 0.0) - without_us for rate in RATES)

        found["publish_us"] = rated(worker, "unheard", without_us=publish_kb_us * SMALL / 1000)
        found["arrival_us"] = rated(worker, "heard", "unheard", delivery_us)
        # One hears it, beside the one who says it.
        said = rated(worker, "said", without_us=delivery_us)
        found["client_event_us"] = rising(a - b for a, b in zip(said, found["arrival_us"], strict=True))
        found["webhook_us"] = rated(worker, "told", "said")
        found["redis_publish_us"] = rated(redis_, "unheard")
        found["redis_arrival_us"] = rated(redis_, "heard", "unheard")
        found["redis_webhook_us"] = rated(redis_, "told", "said")

    def _load(self, name: str, node: Bench, *, rate: float, **options: Any) -> None:
        with ExitStack() as stack:
            client = node.client(stack, seconds=self._seconds, rate=rate, **options)
            client.wait_for("ready")
            time.sleep(SETTLED_S)
            spent, sent = spent_on(node, client)
        self._note(name, rate, spent.worker_s / sent, spent.redis_s / sent)

    def _note(self, name: str, rate: float, worker_s: float, redis_s: float) -> None:
        self._took.setdefault((name, rate), []).append((worker_s, redis_s))


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
