"""What a publish, an arrival and a departure cost beside more and more channels and connections that nobody touches.

Processor time is what the kernel charges to all workers; a node with a Redis, all on the cores that there are.
"""

from __future__ import annotations

import re
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.costs.connections import connected_count
from benchmarks.costs.measure import HEAD, REST_S, Bench, read_until, spent_on
from benchmarks.load.servers.base import APP_ID, KEY, SECRET
from tests.support.engine import running
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until

CHANNELS = (10, 1000, 100_000)
CONNECTIONS = (100, 1000, 10_000, 50_000)
#: Descriptors are the limit of a process, of the engine's as of the client's, so both are several.
PROCESSES = 4
#: The clients that come, do something and leave again.
COMERS = 1000
#: Connections that hold the channels.
HOLDERS = 50
SUBSCRIBERS = 10
PUBLISHES_PER_S = 500
#: A pause of a worker that somebody could notice.
PAUSE_S = "0.005"


@dataclass(frozen=True)
class Point:
    """:ivar size: of what is only there. :ivar rest_cores: of all workers that only hold it; not in the others.
    :ivar pauses: timers of a worker that were more than 5 ms late while clients came and left.
    """

    size: int
    rest_cores: float
    publish_us: float
    arrive_us: float
    leave_us: float
    bytes_each: float
    pauses: int
    timers: int
    longest_collection_below_ms: float


def measure_growth(seconds: float, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """A point for each size, beside channels and beside connections."""
    found: dict[str, list[dict[str, Any]]] = {}
    with _node() as node:
        found["channels"] = [asdict(point) for point in _beside(node, CHANNELS, _channels, seconds, rounds)]
    with _node() as node:
        found["connections"] = [asdict(point) for point in _beside(node, CONNECTIONS, _connections, seconds, rounds)]
    return found


def _beside(node: Bench, sizes: tuple[int, ...], hold: Any, seconds: float, rounds: int) -> Iterator[Point]:
    with ExitStack() as held:
        _come_and_leave(node, 0, 0.0)
        empty = node.spent(memory=True)
        size = there = 0
        for wanted in sizes:
            there += hold(node, held, size, wanted)
            size = wanted
            each = (node.spent(memory=True).bytes - empty.bytes) / size
            yield _point(node, size, there, each, seconds, rounds)


def _point(node: Bench, size: int, there: int, bytes_each: float, seconds: float, rounds: int) -> Point:
    """The least of the rounds counts: what others do on the machine only ever adds.

    :param there: connections that stay.
    """
    rest_cores = min(_rest(node, seconds) for _ in range(rounds))
    publishes = [_publish(node, seconds, rest_cores) for _ in range(rounds)]
    wait_until(lambda: connected_count(node) == there)
    before = _pauses(node)
    moves = [_come_and_leave(node, there, rest_cores) for _ in range(rounds)]
    late, timers = (after - was for was, after in zip(before, _pauses(node), strict=True))
    return Point(
        size=size,
        rest_cores=rest_cores,
        publish_us=min(publishes),
        arrive_us=min(arrived for arrived, _ in moves),
        leave_us=min(left for _, left in moves),
        bytes_each=bytes_each,
        pauses=late,
        timers=timers,
        longest_collection_below_ms=_longest_collection_ms(node),
    )


def _rest(node: Bench, seconds: float) -> float:
    return _spent(node, lambda: time.sleep(seconds), 0.0) / seconds


def _publish(node: Bench, seconds: float, rest_cores: float) -> float:
    with ExitStack() as stack:
        client = node.client(
            stack,
            conns=SUBSCRIBERS,
            rate=PUBLISHES_PER_S,
            seconds=seconds,
            requests=node.requests(1, 100, "growth-"),
            prefix="growth-",
        )
        client.wait_for("ready")
        time.sleep(REST_S)
        spent, sent = spent_on(node, client)
        return (spent.worker_s - rest_cores * seconds) / sent * 1e6


def _come_and_leave(node: Bench, there: int, rest_cores: float) -> tuple[float, float]:
    """What it takes to connect and to be in a channel of one's own, and to be gone again."""
    with ExitStack() as stack:

        def come() -> None:
            client = node.client(stack, conns=COMERS, channels=COMERS, window=100, prefix="come-")
            client.wait_for("ready")
            time.sleep(REST_S)

        arrived = _spent(node, come, rest_cores)

        def leave() -> None:
            stack.close()
            wait_until(lambda: connected_count(node) == there)
            # What a departure leaves to do is done when the workers rest.
            time.sleep(REST_S)

        left = _spent(node, leave, rest_cores)
    return arrived / COMERS * 1e6, left / COMERS * 1e6


def _spent(node: Bench, work: Callable[[], None], rest_cores: float) -> float:
    """Seconds of processor that a piece of work takes beyond rest."""
    before, began = node.spent(), time.monotonic()
    work()
    lasted = time.monotonic() - began
    return node.spent().worker_s - before.worker_s - rest_cores * lasted


def _connections(node: Bench, held: ExitStack, size: int, wanted: int) -> int:
    """Held from now on: how many."""
    number = wanted - size
    options = {"conns": number, "channels": 1, "window": 200, "prefix": f"held-{wanted}-"}
    node.client(held, processes=min(PROCESSES, number), **options).wait_for("ready")
    return number


def _channels(node: Bench, held: ExitStack, size: int, wanted: int) -> int:
    """Connections that are each in many channels: how many."""
    holders = min(HOLDERS, wanted - size)
    sockets = [held.enter_context(socket.create_connection(("127.0.0.1", node.engine.port))) for _ in range(holders)]
    for holder in sockets:
        holder.settimeout(60)
        holder.sendall(HEAD)
        read_until(holder, b"activity_timeout")
    for number in range(holders):
        mine = range(size + number, wanted, holders)
        frames = [_frame(f'{{"event":"pusher:subscribe","data":{{"channel":"held-{n}"}}}}') for n in mine]
        for first in range(0, len(frames), 100):
            sockets[number].sendall(b"".join(frames[first : first + 100]))
            last = f"held-{mine[min(first + 100, len(frames)) - 1]}".encode()
            read_until(sockets[number], b'"channel":"' + last + b'"')
    return holders


def _frame(text: str) -> bytes:
    """A text frame of a client, with a mask of nothing (RFC 6455 5.2, 5.3)."""
    payload = text.encode()
    head = bytes([0x81, 0x80 | len(payload)]) if len(payload) < 126 else struct.pack("!BBH", 0x81, 0xFE, len(payload))
    return head + bytes(4) + payload


def _pauses(node: Bench) -> tuple[int, int]:
    """Timers that were more than 5 ms late so far, and timers."""
    text = node.engine.metrics()
    every = sum(map(int, re.findall(r"^sockudo_event_loop_lag_seconds_count\{[^}]*\} (\d+)", text, re.M)))
    name = rf'^sockudo_event_loop_lag_seconds_bucket\{{[^}}]*le="{re.escape(PAUSE_S)}"[^}}]*\}} (\d+)'
    return every - sum(map(int, re.findall(name, text, re.M))), every


def _longest_collection_ms(node: Bench) -> float:
    """The upper edge of the last bucket that the garbage collector filled, of any worker since the start."""
    text = node.engine.metrics()
    longest = 0.0
    for worker in set(re.findall(r'^sockudo_gc_pause_seconds_count\{worker="(\d+)"', text, re.M)):
        pattern = rf'^sockudo_gc_pause_seconds_bucket\{{(?=[^}}]*worker="{worker}")[^}}]*le="([^"]+)"[^}}]*\}} (\d+)'
        buckets = [(float(edge), int(count)) for edge, count in re.findall(pattern, text, re.M)]
        below = 0
        for edge, count in sorted(buckets):
            if count > below:
                longest = max(longest, edge)
            below = count
    return longest * 1000


@contextmanager
def _node() -> Iterator[Bench]:
    with ExitStack() as stack:
        server = stack.enter_context(ValkeyServer())
        app = {"id": APP_ID, "key": KEY, "secret": SECRET, "max_channels_per_connection": 0}
        config = {
            # Nobody reads for those who only hold channels, or answers a ping.
            "activity_timeout": 3600,
            "database": {"redis": {"url": server.url}},
            "app_manager": {"array": {"apps": [app]}},
            "channel_limits": {"max_joins_per_second": 0},
            "websocket": {"max_frames_per_second": 0},
        }
        engine = stack.enter_context(running(config, PROCESSES, noise=None))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="growth-")))
        yield Bench(engine, server, None, folder)
