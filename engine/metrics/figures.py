"""What a node's processes have counted, as the console shows it: sums, and a few numbers of each worker.

Read from the files that every process writes anyway: no worker is asked, and none is held up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.metrics.families import Family, split_key
from engine.metrics.values import LEVELS, read_slots

#: Shown as sums over all workers and labels.
SUMS = (
    "connected",
    "new_connections_total",
    "new_disconnections_total",
    "ws_messages_received_total",
    "ws_messages_sent_total",
    "socket_received_bytes",
    "socket_transmitted_bytes",
    "broadcast_messages_total",
    "client_events_total",
    "http_calls_received_total",
    "http_errors_total",
    "connection_errors_total",
    "slow_consumers_total",
    "webhooks_sent_total",
    "webhooks_failed_total",
    "webhook_dead_total",
    "worker_restarts_total",
    "leader_changes_total",
    "reconciler_drift_total",
)
#: Shown for each worker.
OF_WORKERS = {
    "process_resident_memory_bytes": "resident_bytes",
    "process_cpu_seconds_total": "cpu_s",
    "process_open_fds": "open_fds",
    "process_max_fds": "max_fds",
}
#: Of those, what is shown of a whole node, as the sum over its processes.
OF_NODES = ("resident_bytes", "cpu_s")
#: Their buckets, summed over all workers and labels, from which the page computes percentiles.
HISTOGRAMS = ("http_request_duration_seconds", "event_loop_lag_seconds", "webhook_duration_seconds")
#: Applications with the most connections.
MAX_APPS = 20
#: Of each webhook; those that fail most.
OF_ENDPOINTS = {"webhooks_sent_total": "sent", "webhooks_failed_total": "failed", "webhook_dead_total": "dead"}
MAX_ENDPOINTS = 50


@dataclass(slots=True)
class Figures:
    """:ivar sums: by name. :ivar workers: place -> number by name. :ivar apps: connections, of the largest.
    :ivar buckets: of each histogram, how many observations each of its bounds was the first to hold; the last is
        beyond all bounds.
    :ivar endpoints: of each webhook its application, id, and how many requests were delivered, failed, and given up.
    """

    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SUMS, 0.0))
    workers: dict[str, dict[str, float]] = field(default_factory=dict)
    apps: dict[str, float] = field(default_factory=dict)
    buckets: dict[str, list[float]] = field(default_factory=dict)
    endpoints: list[dict[str, Any]] = field(default_factory=list)


def summary(found: Figures) -> dict[str, Any]:
    """Of the whole node, as JSON: what another node's console shows of it. Its size is bounded."""
    shown: dict[str, Any] = {name: getattr(found, name) for name in ("sums", "buckets", "apps", "endpoints")}
    shown["workers"] = sum(slot.isdecimal() for slot in found.workers)
    for name in OF_NODES:
        shown[name] = sum(worker.get(name, 0.0) for worker in found.workers.values())
    return shown


def living(directory: Path) -> list[int]:
    """Slots of the node's workers, those that are about to start or have just died among them."""
    slots = (path.name.partition(".")[0] for path in directory.glob(f"*{LEVELS}"))
    return sorted(int(slot) for slot in slots if slot.isdecimal())


def read(directory: Path, families: dict[str, Family]) -> Figures:
    """The numbers as they are now; blocks for the time of reading a few files.

    :param families: those of `HISTOGRAMS`, by name.
    """
    found = Figures()
    found.buckets = {name: [0.0] * (len(families[name].bounds) + 1) for name in HISTOGRAMS}
    of_buckets = {families[name].bucket: found.buckets[name] for name in HISTOGRAMS}
    endpoints: dict[tuple[str, ...], dict[str, Any]] = {}
    for slot, key, number in read_slots(directory):
        # Most keys are none of ours, and need not be taken apart.
        name = key[2 : key.find('"', 2)]
        if name in found.sums:
            found.sums[name] += number
            if name == "connected":
                app_id = split_key(key)[1][0]
                found.apps[app_id] = found.apps.get(app_id, 0.0) + number
            elif name in OF_ENDPOINTS:
                endpoint = endpoints.setdefault(split_key(key)[1], dict.fromkeys(OF_ENDPOINTS.values(), 0.0))
                endpoint[OF_ENDPOINTS[name]] += number
        elif name in OF_WORKERS:
            found.workers.setdefault(slot, {})[OF_WORKERS[name]] = number
        elif name in of_buckets:
            place = int(split_key(key)[1][-1])
            of_buckets[name][place] += number
    largest = sorted(found.apps.items(), key=lambda item: -item[1])[:MAX_APPS]
    found.apps = dict(largest)
    worst = sorted(endpoints.items(), key=lambda item: (-item[1]["dead"], -item[1]["failed"], -item[1]["sent"]))
    found.endpoints = [{"app": app, "id": id, **numbers} for (app, id), numbers in worst[:MAX_ENDPOINTS]]
    return found
