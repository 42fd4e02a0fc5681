"""The garbage collector's work does not grow with what a worker holds: everybody would wait for its pauses."""

from __future__ import annotations

import json
import os
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_redis_cluster import on
from tests.support.client import connected
from tests.support.counting_objects.sitecustomize import ASK, FOLDER
from tests.support.engine import APP, ROOT, Engine, running
from tests.support.waiting import until, wait_until

INSIDE = ROOT / "tests" / "support" / "counting_objects"
FIRST, MORE = 10, 300
#: Of one presence channel.
MEMBERS = 100


@pytest.mark.parametrize("shared", ["nothing", "redis", "cluster"])
async def test_it_looks_at_no_connection_channel_or_member(
    shared: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    config: dict[str, Any] = {"app_manager": {"array": {"apps": [APP]}}}
    if shared == "redis":
        config["database"] = {"redis": {"url": request.getfixturevalue("redis_url")}}
    elif shared == "cluster":
        config |= on(request.getfixturevalue("redis_cluster"))
    inside = {"PYTHONPATH": f"{INSIDE}{os.pathsep}{ROOT}", FOLDER: str(tmp_path)}
    workers = 1 if shared == "nothing" else 2
    with running(config, workers, env=inside) as engine:
        wait_until(lambda: len(engine.workers()) == workers)
        async with AsyncExitStack() as clients:
            await hold(clients, engine, "first", FIRST)
            before = looked_at(engine, tmp_path)
            await hold(clients, engine, "more", MORE)
            # Some of any kind are made late, or are under way.
            await until(
                lambda: not {kind: n for kind, n in (looked_at(engine, tmp_path) - before).items() if n > MORE / 3},
                what=lambda: (looked_at(engine, tmp_path) - before).most_common(3),
            )


async def hold(clients: AsyncExitStack, engine: Engine, name: str, number: int) -> None:
    """So many connections, each in a channel of its own and a member of one that it has with others."""
    for n in range(number):
        client = await clients.enter_async_context(connected(engine.ws_url))
        await client.subscribe(f"private-{name}-{n}")
        await client.subscribe(f"presence-{name}-{n // MEMBERS}", f"user-{n}")


def looked_at(engine: Engine, answers: Path) -> Counter[str]:
    """Objects of all workers that their collectors look at, by their types."""
    found: Counter[str] = Counter()
    for pid in engine.workers():
        answer = answers / str(pid)
        answer.unlink(missing_ok=True)
        os.kill(pid, ASK)
        wait_until(answer.exists)
        found.update(json.loads(answer.read_text()))
    return found
