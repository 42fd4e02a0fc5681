"""A worker goes from phase to phase as it is told, and never back."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from engine.control import Order, Phase
from engine.errors import CloseCode
from engine.http.health import Health
from engine.tasks import cancel
from engine.worker.departure import Departure
from engine.worker.parts import Parts


class Fake:
    """Every collaborator: notes what is asked of it."""

    def __init__(self, did: list[str]) -> None:
        self._did = did
        self.draining = False

    def __getattr__(self, name: str) -> Any:
        async def call(*_: object) -> None:
            self._did.append(name)

        return call


class Hub:
    def __len__(self) -> int:
        return 0

    def connections(self) -> list[object]:
        return []


def departure() -> tuple[Departure, list[str], list[Phase], SimpleNamespace]:
    did: list[str] = []
    said: list[Phase] = []
    fake = Fake(did)
    parts = SimpleNamespace(
        health=Health(), listener=fake, acceptor=fake, adapter=fake, webhook_drain=fake, hub=Hub(), handlers=fake
    )
    made = Departure(cast(Parts, parts), 5.0, lambda: said.append(made.reached))
    return made, did, said, parts


async def test_each_phase_waits_for_its_order() -> None:
    going, did, said, parts = departure()
    task = asyncio.create_task(going.run())
    for phase, done in ((Phase.LEAVING, []), (Phase.CLOSED, ["close", "finish_requests"])):
        going.order(Order(phase))
        while going.reached < phase:
            await asyncio.sleep(0)
        assert did == done
    assert parts.health.ready() == (False, "draining")
    going.order(Order(Phase.LEAVING))
    going.order(Order(Phase.GONE, code=CloseCode.RECONNECT))
    await asyncio.wait_for(task, 5)
    assert did == ["close", "finish_requests", "settle", "all_gone", "run"]
    assert said == [Phase.LEAVING, Phase.CLOSED, Phase.GONE]


async def test_alone_it_delivers_before_any_clients_go() -> None:
    going, did, _, _ = departure()
    task = asyncio.create_task(going.run())
    going.order(Order(Phase.CLOSED, code=CloseCode.OVER_CAPACITY))
    while going.reached < Phase.CLOSED:
        await asyncio.sleep(0)
    assert did == ["close", "finish_requests", "settle", "flush"]
    going.order(Order(Phase.GONE, code=CloseCode.OVER_CAPACITY))
    await asyncio.wait_for(task, 5)
    assert did == ["close", "finish_requests", "settle", "flush", "settle", "all_gone", "run"]


async def test_it_serves_until_it_is_told() -> None:
    going, did, said, parts = departure()
    task = asyncio.create_task(going.run())
    await asyncio.sleep(0)
    assert not did and not said and not parts.health.draining
    await cancel(task)
