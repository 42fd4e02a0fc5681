"""The other clients, who only ask for a pong now and then: how long it takes is what everybody on a worker feels."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.support.engine import APP, Engine

#: Somebody who waits for longer is lost.
PATIENCE_S = 30.0
PAUSE_S = 0.05
PING = '{"event":"pusher:ping","data":{}}'


@dataclass(slots=True)
class Felt:
    """What the clients of one engine felt. :ivar waits_ms: of each ping. :ivar worker_ms: what the worker has computed
    meanwhile, in ms of its processor's time. :ivar lost: clients that got no answer, or were cut off."""

    waits_ms: list[float] = field(default_factory=list)
    worker_ms: list[float] = field(default_factory=list)
    lost: int = 0


async def pings(engine: Engine, clients: int, seconds: float) -> Felt:
    """:param engine: with one worker."""
    felt = Felt()
    clock = processor_clock(engine.workers()[0])
    until_s = time.monotonic() + seconds
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(_one(session, engine.port, until_s, clock, felt, n) for n in range(clients)))
    return felt


async def _one(session: aiohttp.ClientSession, port: int, until_s: float, clock: int, felt: Felt, number: int) -> None:
    try:
        async with session.ws_connect(f"ws://127.0.0.1:{port}/app/{APP['key']}?protocol=7") as client:
            await client.receive_str(timeout=PATIENCE_S)
            await asyncio.sleep(PAUSE_S / 10 * number)
            while time.monotonic() < until_s:
                began_s, computed_s = time.monotonic(), time.clock_gettime(clock)
                await client.send_str(PING)
                await client.receive_str(timeout=PATIENCE_S)
                felt.waits_ms.append((time.monotonic() - began_s) * 1000)
                felt.worker_ms.append((time.clock_gettime(clock) - computed_s) * 1000)
                await asyncio.sleep(PAUSE_S)
    except (aiohttp.ClientError, OSError, TimeoutError, TypeError):
        felt.lost += 1


def processor_clock(pid: int) -> int:
    """The clock of all that a process has computed, as clock_getcpuclockid(3) makes it on Linux."""
    return (~pid << 3) | 2


def most_memory(pid: int) -> int:
    """The most that a process has had in memory so far, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def percentile(times: list[float], share: float) -> float:
    """The time that this share of them does not exceed; 0 of none."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
