"""What the engine is held to, and what was measured of it: ratios within one run, since times are not portable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.page.results import LoadResult


@dataclass(frozen=True)
class Goal:
    """:ivar limit: what `measured` is held to, from above or from below."""

    text: str
    measured: float | None
    limit: float
    at_least: bool = False
    unit: str = "×"

    @property
    def reached(self) -> bool | None:
        """None when it was not measured."""
        if self.measured is None:
            return None
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


def goals(load: LoadResult | None, micro: dict[str, Any] | None) -> list[Goal]:
    """In the order in which they matter."""
    found = []
    if load is not None:
        ratio = load.ratio
        found += [
            Goal("CPU per delivery at 50 publishes/s, of the floor's", ratio("fan-out", "engine", "floor", _CPU), 1.10),
            Goal("deliveries/s flat out, of soketi's", ratio("fan-out-flat", "engine", "soketi", _DELIVERED), 10, True),
            Goal(
                "deliveries/s flat out, of the floor's", ratio("fan-out-flat", "engine", "floor", _DELIVERED), 1, True
            ),
            Goal(
                "verified publishes/s with one subscriber, keep-alive",
                load.median("publish", "engine", "answered_per_s"),
                25_000,
                True,
                "",
            ),
            Goal("memory per idle connection, of soketi's", ratio("idle", "engine", "soketi", "kib_per_connection"), 1),
            Goal("CPU per connect and subscribe, of soketi's", ratio("storm", "engine", "soketi", "connect_cpu_us"), 1),
            Goal(
                "99th percentile of latency at half load, of soketi's",
                ratio("fan-out-half", "engine", "soketi", "delivery.p99_us"),
                1,
            ),
            Goal(
                "CPU per delivery with two workers, of one worker's",
                ratio("two-workers", "engine-2", "engine", _CPU),
                1.3,
            ),
        ]
    if micro is not None:
        found.append(Goal("checking a signature, of the speed of hmac.digest", _signing(micro), 3, True))
    return found


_CPU, _DELIVERED = "cpu_us_per_delivery", "deliveries_per_s"


def _signing(micro: dict[str, Any]) -> float | None:
    medians = {(each["name"], each["parameter"]): each["median_us"] for each in micro["benchmarks"]}
    ours, theirs = medians.get(("signer_verify", "publish")), medians.get(("hmac_digest", "publish"))
    return theirs / ours if ours and theirs else None
