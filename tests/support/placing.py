"""Clients on the worker that a test wants, and which worker leads: what the kernel and the lease decide otherwise.

Used by the tests that kill workers or tell them apart.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack

from tests.support.client import PusherClient, connected
from tests.support.engine import Engine
from tests.support.waiting import wait_until

#: The kernel chooses between the workers at random: so many attempts miss one of four once in a million runs.
ATTEMPTS = 64
LEADING = re.compile(r" worker (\d+)[^:]*: leading as (\w+)$", re.MULTILINE)


async def connected_to(
    stack: AsyncExitStack, engine: Engine, *pids: int, headers: dict[str, str] | None = None
) -> PusherClient:
    """A client on one of these workers; those that landed elsewhere are closed."""
    for _ in range(ATTEMPTS):
        async with AsyncExitStack() as attempt:
            client = await attempt.enter_async_context(connected(engine.ws_url, headers=headers))
            if await asyncio.to_thread(engine.worker_of, client.local_port) in pids:
                stack.push_async_exit(attempt.pop_all())
                return client
    raise AssertionError("the kernel never chose that worker")


async def crowd(stack: AsyncExitStack, engine: Engine, size: int, key: str = "app-key") -> list[PusherClient]:
    """Clients, on every worker of the engine at least one."""
    clients: list[PusherClient] = []
    workers = set(engine.workers())
    while len(clients) < size or {engine.worker_of(client.local_port) for client in clients} != workers:
        assert len(clients) < 100, "the kernel spreads connections over the listening sockets"
        clients.append(await stack.enter_async_context(connected(engine.ws_url, key)))
    return clients


def slots(engine: Engine) -> dict[int, int]:
    """Slot -> process id of its worker."""
    found = {}
    for pid, command in engine.processes().items():
        if match := re.search(r"engine\.worker (\d+)", command):
            found[int(match[1])] = pid
    return found


def leader(engine: Engine) -> int:
    """Process id of the worker that became the leader last, as the log tells; waits for the first one."""
    (slot, _) = wait_until(lambda: LEADING.findall(engine.log()), what="a leader")[-1]
    return slots(engine)[int(slot)]
