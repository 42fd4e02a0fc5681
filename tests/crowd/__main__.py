"""`make crowd`: thousands of clients of one channel while events are published to it; then all are gone at once.

Ends with 1 when an event was missed, came twice or out of order, when a client was lost, or when a worker computed for
longer than `BOUND_MS` until a new client was let in once all were gone.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import sys
import threading
import time
import urllib.parse
from subprocess import PIPE, Popen
from typing import NamedTuple

import aiohttp

from tests.crowd.clients import CHANNEL, PATIENCE_S
from tests.hostile.others import percentile, processor_clock
from tests.support.engine import APP, ROOT, Engine, running
from tests.support.signing import signed_query
from tests.support.waiting import wait_until

#: Of one process; the kernel gives each 20,000 descriptors, and each address 28,000 ports.
AT_MOST = 10_000
EVENTS_AFTER = 20
#: For how long one client after the other connects.
CONNECTS_S = 3.0
BOUND_MS = 50.0


class Publisher(threading.Thread):
    """Numbered events, one after the other. :ivar count: published."""

    def __init__(self, port: int, pause_s: float) -> None:
        super().__init__()
        self._port, self._pause_s = port, pause_s
        self._over = threading.Event()
        self.count = 0

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        path = f"/apps/{APP['id']}/events"
        while not self._over.wait(self._pause_s):
            body = json.dumps({"name": "e", "channels": [CHANNEL], "data": str(self.count)}).encode()
            query = signed_query(APP["key"], APP["secret"], "POST", path, body)
            connection.request("POST", f"{path}?{urllib.parse.urlencode(query)}", body)
            assert connection.getresponse().read() == b"{}"
            self.count += 1
        connection.close()

    def end(self) -> None:
        self._over.set()
        self.join()


class Crowd:
    """:param number: of this process among those of all clients."""

    def __init__(self, port: int, count: int, number: int) -> None:
        command = [sys.executable, "-m", "tests.crowd.clients", str(port), str(count), f"127.0.1.{number + 1}"]
        self._process = Popen(command, cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True)

    def up(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "up\n", "a client could not come"

    def heard(self) -> list[int]:
        """(the least and the greatest number that is due next, how many came wrong, clients lost)."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        found: list[int] = json.loads(self._process.stdout.readline())
        return found

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


class Connects(NamedTuple):
    """What it took to become a client, again and again, in ms. :ivar worker_ms: what a worker has computed meanwhile,
    the one that has computed most, in ms of its processor's time."""

    waits_ms: list[float]
    worker_ms: list[float]

    def __str__(self) -> str:
        return ", ".join(
            f"{what} first {times[0]:.1f} ms, median {percentile(times, 0.5):.1f}, longest {max(times):.1f}"
            for what, times in (("by the clock", self.waits_ms), ("worker's own", self.worker_ms))
        )


async def connects(engine: Engine, seconds: float) -> Connects:
    clocks = [processor_clock(pid) for pid in engine.workers()]
    seen = Connects([], [])
    until_s = time.monotonic() + seconds
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < until_s:
            began_s, computed_s = time.monotonic(), [time.clock_gettime(clock) for clock in clocks]
            async with session.ws_connect(f"ws://127.0.0.1:{engine.port}/app/{APP['key']}?protocol=7") as client:
                await client.receive_str(timeout=PATIENCE_S)
                seen.waits_ms.append((time.monotonic() - began_s) * 1000)
                seen.worker_ms.append(
                    max(time.clock_gettime(clock) - was for clock, was in zip(clocks, computed_s, strict=True)) * 1000
                )
            await asyncio.sleep(0.01)
    return seen


def play(engine: Engine, idle: Engine, clients: int) -> int:
    """How many things went wrong; prints what was seen."""
    parts = [min(AT_MOST, clients - at) for at in range(0, clients, AT_MOST)]
    # Each event is written to all of them.
    publisher = Publisher(engine.port, max(0.2, clients / 4_000))
    began_s = time.monotonic()
    publisher.start()
    crowds = [Crowd(engine.port, part, number) for number, part in enumerate(parts)]
    try:
        for crowd in crowds:
            crowd.up()
        print(
            f"{clients} clients came in {time.monotonic() - began_s:.0f} s, {publisher.count} events meanwhile",
            flush=True,
        )
        upon = publisher.count + EVENTS_AFTER
        wait_until(lambda: publisher.count >= upon, PATIENCE_S)
        publisher.end()
        wait_until(
            lambda: min(crowd.heard()[0] for crowd in crowds) == publisher.count,
            PATIENCE_S,
            lambda: f"all events at all clients: {[crowd.heard() for crowd in crowds]} of {publisher.count}",
        )
        wrong = sum(crowd.heard()[2] for crowd in crowds)
        lost = sum(crowd.heard()[3] for crowd in crowds)
        print(f"{publisher.count} events: {wrong} missed, doubled or out of order, {lost} clients lost", flush=True)
        before = asyncio.run(_beside(engine, idle, CONNECTS_S))
        for crowd in crowds:
            crowd.kill()
        after = asyncio.run(_beside(engine, idle, CONNECTS_S))
        for name, (here, beside) in {"before": before, "once all were gone": after}.items():
            print(f"a connect {name}: {here}; to an idle engine beside it: {beside}")
        began_s = time.monotonic()
        wait_until(lambda: engine.request("GET", f"/channels/{CHANNEL}").json == {"occupied": False}, PATIENCE_S)
        print(f"the channel was empty {time.monotonic() - began_s:.1f} s later")
        return wrong + lost + (max(after[0].worker_ms) > BOUND_MS)
    finally:
        publisher.end()
        for crowd in crowds:
            crowd.end()


async def _beside(engine: Engine, idle: Engine, seconds: float) -> tuple[Connects, Connects]:
    return await asyncio.gather(connects(engine, seconds), connects(idle, seconds))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crowd", description=__doc__)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with running(noise=None) as idle, running(workers=options.workers) as engine:
        return 1 if play(engine, idle, options.clients) else 0


if __name__ == "__main__":
    sys.exit(main())
