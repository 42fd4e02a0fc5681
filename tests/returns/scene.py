"""Two nodes on one Valkey, a publisher, workers that are killed, and clients that come back: all of it, judged.

Runs processes and clients; what is right is decided in `diary.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from engine.occupancy.redis_keys import Keys
from tests.chaos.node import Node
from tests.chaos.plan import WORKERS
from tests.returns.diary import Verdict, judge
from tests.returns.raw import RawClient
from tests.support.engine import APP
from tests.support.signing import signed_query
from tests.support.valkey import ValkeyServer

CLIENTS = Path(__file__).resolve().parents[1] / "clients"
PREFIX = "t:"
#: What is kept is more than the longest absence, and less than that.
KEPT, BRIEF = "private-kept", "private-brief"
RULES = [
    {"channels": KEPT, "count": 10_000, "seconds": 90, "bytes": 16 * 1024 * 1024},
    {"channels": BRIEF, "count": 10_000, "seconds": 3, "bytes": 16 * 1024 * 1024},
]
EVENTS_PER_S = 100
#: Events in one request, which has each for two channels.
MOST_IN_ONE = 50
#: A publish without an answer is repeated after that, at the other node.
ANSWER_S = 10.0
END_S = 100.0


@dataclass(frozen=True)
class Options:
    """:ivar returns: how many there are to be. :ivar long: the part of cuts that takes 5 to 30 s; others 0.1 to 1 s."""

    returns: int
    pages: int
    raw: int
    long: float
    kill_every_s: float


class Publisher:
    """Events with their numbers and times, some in each request, to one node after the other.

    The next request waits for the answer, so that the order of numbers is the order of publishing.
    """

    def __init__(self, session: aiohttp.ClientSession, urls: list[str]) -> None:
        self._session = session
        self._urls = urls
        self.count = self._turn = 0
        #: Those that were sent again, since no answer came: they may be there twice.
        self.repeated: set[int] = set()

    async def run(self, over: asyncio.Event) -> None:
        due = time.monotonic()
        while not over.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            # All that are due by now, so that a slow answer does not slow down the rate.
            number = min(MOST_IN_ONE, 1 + int(max(0.0, time.monotonic() - due) * EVENTS_PER_S))
            due += number / EVENTS_PER_S
            numbers = range(self.count, self.count + number)
            at_ms = time.time_ns() // 1_000_000
            data = [json.dumps({"id": number, "at": at_ms}) for number in numbers]
            batch = [{"name": "e", "channel": channel, "data": each} for each in data for channel in (KEPT, BRIEF)]
            body = json.dumps({"batch": batch}).encode()
            attempt = self._turn = self._turn + 1
            while not await self._sent(body, attempt):
                self.repeated.update(numbers)
                attempt += 1
                await asyncio.sleep(0.05)
            self.count += number

    async def _sent(self, body: bytes, number: int) -> bool:
        path = f"/apps/{APP['id']}/batch_events"
        query = signed_query(APP["key"], APP["secret"], "POST", path, body)
        try:
            async with self._session.post(
                f"{self._urls[number % len(self._urls)]}{path}",
                params=query,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=aiohttp.ClientTimeout(ANSWER_S),
            ) as answer:
                await answer.read()
                return answer.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False


class Killer:
    """Kills a worker now and then, every second time the leader."""

    def __init__(self, nodes: list[Node], valkey: ValkeyServer, every_s: float) -> None:
        self._nodes = nodes
        self._valkey = valkey
        self._every_s = every_s
        self.killed: Counter[str] = Counter()

    async def run(self) -> None:
        with self._valkey.client() as client:
            for turn in range(10**9):
                await asyncio.sleep(self._every_s * random.uniform(0.7, 1.3))
                holder = await asyncio.to_thread(client.get, Keys(PREFIX).base + "lease")
                leader = await asyncio.to_thread(self._leader, holder.decode() if holder else "")
                whole = [node for node in self._nodes if len(node.engine.workers()) == WORKERS]
                workers = [pid for node in whole for pid in node.engine.workers()]
                if turn % 2 and leader in workers:
                    self._kill(leader, "leader")
                elif workers:
                    pid = random.choice(workers)
                    self._kill(pid, "leader" if pid == leader else "worker")

    def _leader(self, incarnation: str) -> int | None:
        return next((pid for node in self._nodes if (pid := node.worker_called(incarnation)) is not None), None)

    def _kill(self, pid: int, who: str) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.killed[who] += 1


def play(options: Options, say: Callable[[str], None]) -> tuple[Verdict, Verdict, str]:
    """Verdicts of pusher-js and of the others, and a line about the run."""
    app = APP | {"history": RULES, "max_event_batch_size": 2 * MOST_IN_ONE}
    with ExitStack() as stack:
        valkey = stack.enter_context(ValkeyServer())
        config = {"app_manager": {"array": {"apps": [app]}}, "database": {"redis": {"url": valkey.url}}}
        config["database"]["redis"]["key_prefix"] = PREFIX  # type: ignore[index]
        nodes = []
        for name in ("one", "two"):
            nodes.append(Node(name, config))
            stack.callback(nodes[-1].remove)
        for node in nodes:
            node.wait_ready()
        return asyncio.run(_scene(options, nodes, valkey, say))


async def _scene(
    options: Options, nodes: list[Node], valkey: ValkeyServer, say: Callable[[str], None]
) -> tuple[Verdict, Verdict, str]:
    ports = [node.engine.port for node in nodes]
    killer = Killer(nodes, valkey, options.kill_every_s)
    no_more_cuts, published_all = asyncio.Event(), asyncio.Event()
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(limit=0)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        publisher = Publisher(session, [f"http://127.0.0.1:{port}" for port in ports])
        urls = [f"ws://127.0.0.1:{port}/app/{APP['key']}?protocol=7" for port in ports]
        raw = [
            RawClient(session, urls, APP["key"], APP["secret"], BRIEF if n % 4 == 0 else KEPT, options.long)
            for n in range(options.raw)
        ]
        publishing = asyncio.create_task(publisher.run(published_all))
        others = [asyncio.create_task(client.run(no_more_cuts)) for client in raw]
        arguments = (options.pages, APP["key"], APP["secret"], f"{KEPT},{KEPT},{KEPT},{BRIEF}")
        pages = await asyncio.create_subprocess_exec(
            "node",
            "returns.mjs",
            *map(str, (*arguments, ",".join(map(str, ports)), options.long)),
            cwd=CLIENTS,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 30,
        )
        stack.callback(lambda: pages.kill() if pages.returncode is None else None)
        assert await _ask(pages) == "up"
        killing = asyncio.create_task(killer.run())
        said = 0.0
        while True:
            await asyncio.sleep(1)
            for task in (publishing, killing, *others):
                if task.done():
                    task.result()
            by_pages = int(await _ask(pages, "count"))
            done = by_pages + sum(_returns(client.diary) for client in raw)
            if time.monotonic() - said > 30:
                said = time.monotonic()
                say(f"{said - began:.0f} s: {done} returns, {by_pages} by pusher-js; killed {dict(killer.killed)}")
            # Some returns are cut off again before they have heard anything new, and do not count.
            if done >= options.returns * 1.02:
                break
        killing.cancel()
        no_more_cuts.set()
        # Whoever is away for long comes back while there is still something to miss.
        await asyncio.sleep(35)
        took_s = time.monotonic() - began
        published_all.set()
        await publishing
        end = publisher.count - 1
        diaries = json.loads(await _ask(pages, f"finish {end}"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                while any(client.last < end for client in raw):
                    await asyncio.sleep(0.1)
        for task in others:
            task.cancel()
        await asyncio.gather(killing, *others, return_exceptions=True)
        await pages.wait()
    by_page = _judged("page", diaries, publisher, end)
    by_raw = _judged("raw", [client.diary for client in raw], publisher, end)
    about = (
        f"{publisher.count} events at {publisher.count / took_s:.0f} a second, {len(publisher.repeated)} sent again; "
        f"killed {dict(killer.killed)}; {took_s:.0f} s"
    )
    return by_page, by_raw, about


def _judged(who: str, diaries: list[list[list[Any]]], publisher: Publisher, end: int) -> Verdict:
    found = Verdict()
    for number, diary in enumerate(diaries):
        found.add(judge(f"{who} {number}", diary, publisher.repeated, end))
    return found


def _returns(diary: list[list[Any]]) -> int:
    return max(0, sum(entry[0] == "back" for entry in diary) - 1)


async def _ask(process: asyncio.subprocess.Process, line: str = "") -> str:
    if line:
        assert process.stdin is not None
        process.stdin.write(f"{line}\n".encode())
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()
