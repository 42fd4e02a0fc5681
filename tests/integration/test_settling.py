"""Six ways of leaving, three places of return, before or after the settling time: nothing, or exactly a pair (W-18).

Two nodes on one Redis. All cells of the table run at the same time, each in a presence channel of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import struct
import subprocess
import time
from collections import defaultdict
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.integration.conftest import shared_config
from tests.support.client import PusherClient
from tests.support.engine import PYTHON, ROOT, Engine, environment, running
from tests.support.placing import connected_to, slots
from tests.support.receiver import WebhookReceiver
from tests.support.valkey import ValkeyServer
from tests.support.waiting import until

#: Bounds of the settling time. A killed worker must be there again before it is over, which takes a busy machine long.
SETTLE_MIN_S, SETTLE_MAX_S = 3.0, 15.0
#: A silent client is pinged after the one time, and ended when it does not answer within the other (30 s of old).
ACTIVITY_S, PONG_S = 2, 2
#: The others say something so often.
LIVELY_S = 0.5
USER = "ada"
COME, GONE = ["channel_occupied", "member_added"], ["member_removed", "channel_vacated"]

#: Slots of the first node's workers: one is killed, one is left from in all other ways.
DOOMED, LEFT, OTHER = 0, 1, 2


class Cell(NamedTuple):
    way: str
    place: str
    when: str

    @property
    def channel(self) -> str:
        return "presence-" + "-".join(self).replace(" ", "_")


WAYS = ("unsubscribe", "close", "reset", "silence", "terminate", "death")
CELLS = [
    Cell(*cell) for cell in itertools.product(WAYS, ("same worker", "other worker", "other node"), ("before", "after"))
]


def test_a_return_in_time_is_nothing_and_one_too_late_a_pair(receiver: WebhookReceiver, tmp_path: Path) -> None:
    with nodes(receiver, tmp_path) as (here, there):
        asyncio.run(Matrix(here, there, receiver).play())
    # The engines have stopped and told all they had to tell.
    stories = {cell: receiver.names("/hook", cell.channel) for cell in CELLS}
    assert stories == {cell: COME if cell.when == "before" else COME + GONE + COME for cell in CELLS}


def settle_s() -> float:
    """Several times as long as a worker needs here and now until it serves."""
    began = time.monotonic()
    subprocess.run([PYTHON, "-c", "import engine.worker.worker"], cwd=ROOT, env=environment(), check=True, timeout=30)
    return min(max(SETTLE_MIN_S, 4 * (time.monotonic() - began)), SETTLE_MAX_S)


@contextmanager
def nodes(receiver: WebhookReceiver, folder: Path) -> Iterator[tuple[Engine, Engine]]:
    # What a process of Python imports first: nobody waits half a minute for a silent client here.
    (folder / "sitecustomize.py").write_text(f"import engine.ws.keepalive as k\nk.PONG_TIMEOUT_S = {PONG_S}\n")
    env = {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    with ValkeyServer() as valkey:
        config = shared_config(receiver) | {
            "webhooks": {"settle_ms": int(settle_s() * 1000), "batching": {"enabled": True, "duration": 10}},
            "database": {"redis": {"url": valkey.url}},
            "activity_timeout": ACTIVITY_S,
        }
        with running(config, 3, env=env) as here, running(config, 1, env=env) as there:
            yield here, there


class Matrix:
    """:ivar occupied: the channels of which the API tells, asked again and again.
    :ivar told: channel -> names of the events that have come.
    """

    def __init__(self, here: Engine, there: Engine, hooks: WebhookReceiver) -> None:
        self.here, self.there, self.hooks = here, there, hooks
        self.workers = slots(here)
        self.occupied: set[str] = set()
        self.told: defaultdict[str, list[str]] = defaultdict(list)
        self.read = 0
        self.talking: dict[PusherClient, asyncio.Task[None]] = {}

    async def play(self) -> None:
        async with AsyncExitStack() as stack:
            self.background(stack, self.watch())
            leaving = {way: await self.arrive(stack, self.here, self.start(way)) for way in WAYS}
            back = {
                "same worker": await self.arrive(stack, self.here, self.workers[LEFT]),
                "other worker": await self.arrive(stack, self.here, self.workers[OTHER]),
                "other node": await self.arrive(stack, self.there, *self.there.workers()),
            }
            await leaving["terminate"].signin("who-is-terminated")
            for cell in CELLS:
                await leaving[cell.way].subscribe(cell.channel, USER)
            every = {cell.channel for cell in CELLS}
            await until(lambda: every <= self.occupied and all(self.told[c] == COME for c in every))

            async with asyncio.TaskGroup() as tasks:
                for way in WAYS:
                    tasks.create_task(self.leave(way, leaving[way]))
                for cell in CELLS:
                    if (cell.way, cell.place) != ("death", "same worker"):
                        tasks.create_task(self.come_back(cell, back[cell.place]))
                again = await self.arrive(stack, self.here, await self.successor())
                for when in ("before", "after"):
                    tasks.create_task(self.come_back(Cell("death", "same worker", when), again))

    async def arrive(self, stack: AsyncExitStack, engine: Engine, *pids: int) -> PusherClient:
        # Pages, which no library answers a ping for but their own.
        client = await connected_to(stack, engine, *pids, headers={"Origin": "https://a.example"})
        self.talking[client] = self.background(stack, lively(client))
        return client

    def start(self, way: str) -> int:
        return self.workers[DOOMED if way == "death" else LEFT]

    async def leave(self, way: str, client: PusherClient) -> None:
        match way:
            case "unsubscribe":
                for cell in CELLS:
                    if cell.way == way:
                        await client.unsubscribe(cell.channel)
            case "close":
                await client.close()
            case "reset":
                # Closed without lingering: the peer gets a reset.
                client.websocket.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                client.abort()
            case "silence":
                self.talking[client].cancel()
                assert await client.wait_closed() == 4201
            case "terminate":
                path = "/users/who-is-terminated/terminate_connections"
                assert (await asyncio.to_thread(self.there.request, "POST", path)).status == 200
            case "death":
                os.kill(self.workers[DOOMED], signal.SIGKILL)

    async def come_back(self, cell: Cell, client: PusherClient) -> None:
        await until(lambda: cell.channel not in self.occupied, what=f"{cell} is left")
        if cell.when == "before":
            assert self.told[cell.channel] == COME, "too slow a machine for this settling time"
            await client.subscribe(cell.channel, USER)
            # Who leaves now is told of later than anybody before.
            marker = f"marker-{cell.channel}"
            await client.subscribe(marker)
            await client.unsubscribe(marker)
            await until(lambda: self.told[marker] == ["channel_occupied", "channel_vacated"], what=marker)
        else:
            await until(lambda: self.told[cell.channel] == COME + GONE, what=lambda: self.told[cell.channel])
            await client.subscribe(cell.channel, USER)
            await until(lambda: self.told[cell.channel] == COME + GONE + COME)

    async def successor(self) -> int:
        """Whoever takes the place of the killed worker."""
        dead = self.workers[DOOMED]
        return await until(lambda: (pid := slots(self.here).get(DOOMED, dead)) != dead and pid)

    async def watch(self) -> None:
        while True:
            answer = await asyncio.to_thread(self.there.request, "GET", "/channels")
            self.occupied = set(answer.json["channels"])
            # Each request is read once: all cells wait for what it tells.
            requests = self.hooks.to("/hook")
            for event in (event for request in requests[self.read :] for event in request.events):
                self.told[event["channel"]].append(event["name"])
            self.read = len(requests)
            await asyncio.sleep(0.02)

    @staticmethod
    def background(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs until the end, and may not have failed by then."""
        task = asyncio.create_task(work)

        async def end() -> None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        stack.push_async_callback(end)
        return task


async def lively(client: PusherClient) -> None:
    """Say something now and then, until the end of the connection."""
    with contextlib.suppress(ConnectionError):
        while client.close_code is None:
            await client.send("pusher:ping", {})
            await asyncio.sleep(LIVELY_S)
