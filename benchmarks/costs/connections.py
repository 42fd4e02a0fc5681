"""What a connection, a join and a channel cost: many come at a time, then one after the other, and all leave again."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmarks.costs.rates import between
from benchmarks.load.accounting import usage
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from benchmarks.costs.measure import Bench


@dataclass(frozen=True)
class Coming:
    """What one connection of a kind took, its leaving too, of so many a second that came."""

    rate: float
    worker_us: float
    redis_us: float
    bytes: float
    redis_bytes: float


def measure_connections(one: Bench, found: dict[str, Any], number: int) -> None:
    """Connections alone, then more with a channel that they share, then more with one each; and their leaving.

    First many at a time, as after a cut, of which several share an awakening; then one after the other.
    """
    empty = one.spent(memory=True)
    found["worker_bytes"] = empty.bytes
    found["node_bytes"] = usage(one.engine.process.pid, memory=True).pss_kib * 1024 - empty.bytes
    kinds: list[dict[str, Any]] = []
    for window, conns, prefix in ((100, number, "bench-"), (1, number // 4, "alone-")):
        options = {"conns": conns, "window": window, "prefix": prefix}
        kinds += [options | {"subscribe": 0}, options | {"channels": 1}, options | {"channels": conns}]
    many = _come_and_go(one, kinds)
    few = many[3:]
    alone, shared, each = many[:3]
    found["connection_bytes"] = max(0.0, alone.bytes)
    found["join_bytes"] = max(0.0, shared.bytes - alone.bytes)
    found["channel_bytes"] = max(0.0, each.bytes - shared.bytes)
    found["redis_channel_bytes"] = max(0.0, each.redis_bytes - alone.redis_bytes)
    found["connect_us"] = between(few[0].rate, few[0].worker_us, alone.rate, alone.worker_us)
    for name, more, less, of in (
        ("join_us", 1, 0, "worker_us"),
        ("channel_us", 2, 1, "worker_us"),
        ("redis_join_us", 2, 0, "redis_us"),
    ):
        slow, fast = (getattr(some[more], of) - getattr(some[less], of) for some in (few, many))
        found[name] = between(few[more].rate, slow, many[more].rate, fast)


def _come_and_go(one: Bench, kinds: list[dict[str, Any]]) -> list[Coming]:
    stacks: list[ExitStack] = []
    came: list[Coming] = []
    for options in kinds:
        # The others stay: what they leave behind would be the room of these.
        stacks.append(ExitStack())
        conns = int(options["conns"])
        before, began = one.spent(memory=True), time.monotonic()
        one.client(stacks[-1], **options).wait_for("ready")
        took_s = time.monotonic() - began
        took = [(b - a) / conns for a, b in zip(before, one.spent(memory=True), strict=True)]
        came.append(Coming(conns / took_s, took[0] * 1e6, took[1] * 1e6, took[2], took[3]))
    for left in reversed(range(len(kinds))):
        conns = int(kinds[left]["conns"])
        stay = sum(int(options["conns"]) for options in kinds[:left])
        before = one.spent()
        stacks[left].close()
        wait_until(lambda stay=stay: connected_count(one) == stay)  # type: ignore[misc]
        after = one.spent()
        worker_us, redis_us = ((after[of] - before[of]) / conns * 1e6 for of in (0, 1))
        coming = came[left]
        came[left] = replace(coming, worker_us=coming.worker_us + worker_us, redis_us=coming.redis_us + redis_us)
    return came


def connected_count(one: Bench) -> int:
    return sum(map(int, re.findall(r"^sockudo_connected\{[^}]*\} (\d+)", one.engine.metrics(), re.M)))
