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
        found += [*_fan_out(load), *_publishing(load), *_clients(load), *_two_workers(load)]
    if micro is not None:
        found.append(Goal("checking a signature, of the speed of hmac.digest", _signing(micro), 3, True))
    return found


_CPU, _DELIVERED, _PER_EVENT = "cpu_us_per_delivery", "deliveries_per_s", "cpu_us_per_sent"


def _fan_out(load: LoadResult) -> list[Goal]:
    ratio = load.ratio
    return [
        Goal("CPU per delivery at 50 publishes/s, of the floor's", ratio("fan-out", "engine", "floor", _CPU), 1.10),
        Goal("deliveries/s flat out, of soketi's", ratio("fan-out-flat", "engine", "soketi", _DELIVERED), 10, True),
        Goal("deliveries/s flat out, of the floor's", ratio("fan-out-flat", "engine", "floor", _DELIVERED), 1, True),
        Goal(
            "99th percentile of latency at half load, of soketi's",
            ratio("fan-out-half", "engine", "soketi", "delivery.p99_us"),
            1,
        ),
        Goal(
            "publishes/s to 100 channels of 9, of soketi's",
            ratio("rooms-flat", "engine", "soketi", "answered_per_s"),
            5,
            True,
        ),
        Goal(
            "publishes/s to 100 channels of 9, of the floor's",
            ratio("rooms-flat", "engine", "floor", "answered_per_s"),
            1,
            True,
        ),
    ]


def _publishing(load: LoadResult) -> list[Goal]:
    return [
        Goal(
            "CPU per verified publish, 16 connections, of the floor's",
            load.ratio("publish-16", "engine", "floor", _PER_EVENT),
            3,
        ),
        Goal(
            "CPU per verified publish, 16 connections, soketi's of ours",
            load.ratio("publish-16", "soketi", "engine", _PER_EVENT),
            5,
            True,
        ),
        Goal(
            "verified publishes/s, pipelined",
            load.median("publish-pipelined", "engine", "answered_per_s"),
            250_000,
            True,
            "",
        ),
    ]


def _clients(load: LoadResult) -> list[Goal]:
    ratio = load.ratio
    return [
        Goal("CPU per connect and subscribe, of the floor's", ratio("storm", "engine", "floor", "connect_cpu_us"), 1.5),
        Goal(
            "CPU per connect and subscribe with two workers, of one's",
            ratio("storm", "engine-2", "engine", "connect_cpu_us"),
            1.3,
        ),
        Goal("KiB per idle connection", load.median("idle", "engine", "kib_per_connection"), 1.2, unit=""),
        Goal("client events/s, of soketi's", ratio("client-events", "engine", "soketi", "sent_per_s"), 5, True),
        Goal("client events/s, of the floor's", ratio("client-events", "engine", "floor", "sent_per_s"), 0.9, True),
        Goal(
            "CPU per client event with its webhook, soketi's of ours",
            ratio("webhooks-flat", "soketi", "engine", _PER_EVENT),
            2,
            True,
        ),
    ]


def _two_workers(load: LoadResult) -> list[Goal]:
    """All processes on one core, so that what is compared is work and not cores."""
    ratio = load.ratio
    return [
        Goal("CPU per delivery to 1,000, two workers, of one's", ratio("two-workers", "engine-2", "engine", _CPU), 1.3),
        Goal(
            "CPU per delivery to 10, two workers, of one's", ratio("two-workers-few", "engine-2", "engine", _CPU), 1.2
        ),
        Goal(
            "the same with events through Valkey",
            ratio("two-workers-few", "engine-2-valkey", "engine", _CPU),
            1.6,
        ),
        Goal(
            "CPU per delivery to 100 channels of 9, two workers, of one's",
            ratio("rooms", "engine-2", "engine", _CPU),
            1.2,
        ),
    ]


def _signing(micro: dict[str, Any]) -> float | None:
    medians = {(each["name"], each["parameter"]): each["median_us"] for each in micro["benchmarks"]}
    ours, theirs = medians.get(("signer_verify", "publish")), medians.get(("hmac_digest", "publish"))
    return theirs / ours if ours and theirs else None
