"""What the model says of loads that its costs were not taken from, beside what was measured."""

from __future__ import annotations

from dataclasses import asdict

from benchmarks.costs.measure import Checked
from engine.cli.sizing import KERNEL_BYTES, Costs, Machine, at

TITLES = (
    "two workers, 2,000 clients in channels of 10, 150 publishes/s of 1 kB",
    "one worker, 500 clients in channels of 5, 150 client events/s, each told to an endpoint",
    "one worker, 500 clients in channels of 10, 1,000 publishes/s of 300 bytes",
    "one worker, 500 clients in channels of 50, 350 publishes/s of 200 bytes",
    "two workers, 1,000 clients in channels of 2, 2,500 publishes/s of 150 bytes",
    "one worker, 500 clients in channels of 5, 400 client events/s, each told to an endpoint",
)
#: The first load of its node, whose memory is its own; later ones find the room of those before them.
ROOMY = TITLES[:2]


def compared(costs: Costs, checks: list[Checked]) -> list[dict[str, object]]:
    return [_point(title, costs, check) for title, check in zip(TITLES, checks, strict=True)]


def _point(title: str, costs: Costs, check: Checked) -> dict[str, object]:
    said = at(costs, check.load, Machine(), check.workers, 1)
    # What processes have of it, beyond what they have without any load.
    bytes_ = said.memory_bytes - costs.node_bytes - check.workers * costs.worker_bytes
    bytes_ -= check.load.connections * KERNEL_BYTES
    told: dict[str, object] = {
        "title": title,
        "load": asdict(check.load),
        "workers": check.workers,
        "cores": {"said": round(said.worker_cores, 4), "measured": round(check.cores[0], 4)},
        "redis_cores": {"said": round(said.redis_cores, 4), "measured": round(check.cores[1], 4)},
    }
    if title in ROOMY:
        told["bytes"] = {"said": round(bytes_), "measured": check.bytes}
    return told
