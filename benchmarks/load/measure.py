"""One measurement: one scenario on one fresh server, from its start to its figures."""

from __future__ import annotations

import contextlib
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.load.accounting import Usage, usage
from benchmarks.load.hooks import Endpoint, endpoint
from benchmarks.load.load_client import Client, connected
from benchmarks.load.requests import write_requests
from benchmarks.load.scenarios import Scenario
from benchmarks.load.servers.base import Need, Server, Started

#: Connections that come, subscribe and go before anything is counted: what a server builds on first use is no cost.
WARM_CONNECTIONS = 300
#: A server is left alone for so long before its memory is read.
REST_S = 1.0
#: When no webhook has come for so long, no more will.
HOOKS_TIMEOUT_S = 8.0

Figures = dict[str, Any]


@dataclass(frozen=True)
class Conditions:
    """What holds for a whole run.

    :ivar scale: of the number of connections, for quick tries.
    """

    server_cores: frozenset[int]
    client_cores: frozenset[int]
    seconds: float
    warmup_s: float
    scale: float = 1.0

    @property
    def processes(self) -> int:
        return max(1, len(self.client_cores))


def measure(scenario: Scenario, server: Server, conditions: Conditions, rate: float | None) -> Figures:
    """The figures of one scenario on one server.

    :param rate: publishes per second where the scenario leaves it open.
    Raises RuntimeError or ClientFailed when there are none.
    """
    with contextlib.ExitStack() as stack:
        hooks = stack.enter_context(endpoint(set(conditions.client_cores))) if scenario.webhooks else None
        need = Need(webhook_url=hooks.url if hooks is not None else "")
        started = stack.enter_context(server.running(set(conditions.server_cores), need))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        options = _options(scenario, conditions, started, rate)
        if scenario.event_bytes:
            options["requests"] = folder / "requests"
            prefix, channels = options.get("prefix", "bench-"), options.get("channels", 1)
            write_requests(options["requests"], started.publish_port, prefix, channels, scenario.event_bytes)
        _warm_up(started, conditions)
        time.sleep(REST_S)
        before = usage(started.pid, memory=True)
        client = stack.enter_context(connected(set(conditions.client_cores), options))
        ready = client.wait_for("ready")
        figures = _connect_figures(ready, before, usage(started.pid))
        time.sleep(REST_S)
        held_kib = usage(started.pid, memory=True).pss_kib
        figures |= {
            "kib_per_connection": (held_kib - before.pss_kib) / ready["conns"],
            "idle_kib": before.pss_kib,
            "rate": options.get("rate", 0),
        }
        if scenario.kind == "load":
            figures |= _load_figures(client, started, conditions, hooks)
        return figures


def _options(scenario: Scenario, conditions: Conditions, started: Started, rate: float | None) -> dict[str, Any]:
    options: dict[str, Any] = {
        **scenario.client,
        "port": started.port,
        "publish_port": started.publish_port,
        "processes": conditions.processes,
        "warmup": conditions.warmup_s,
        "seconds": conditions.seconds,
    }
    if rate is not None:
        options["rate"] = rate
    if conditions.scale != 1 and options["conns"] > 1:
        channels = options.get("channels", 1)
        per_channel = max(1, round(options["conns"] * conditions.scale / channels))
        if per_channel * channels > options["conns"] * conditions.scale * 2:  # one each: fewer channels then
            options["channels"] = channels = max(1, round(channels * conditions.scale))
        options["conns"] = per_channel * channels
    return options


def _warm_up(started: Started, conditions: Conditions) -> None:
    options = {"port": started.port, "conns": WARM_CONNECTIONS, "processes": conditions.processes}
    with connected(set(conditions.client_cores), options) as client:
        client.wait_for("ready")


def _connect_figures(ready: dict[str, Any], before: Usage, after: Usage) -> Figures:
    return {
        "conns": ready["conns"],
        "connects_per_s": ready["conns"] / ready["setup_s"],
        "connect_cpu_us": (after.cpu_s - before.cpu_s) / ready["conns"] * 1e6,
        "connect": ready["connect"],
    }


def _load_figures(client: Client, started: Started, conditions: Conditions, hooks: Endpoint | None) -> Figures:
    client.go()
    client.wait_for("started")
    server0, client0 = usage(started.pid), usage(client.pid)
    hooks0 = hooks.counted() if hooks is not None else None
    client.wait_for("stopped")
    server1, client1 = usage(started.pid), usage(client.pid)
    hooks1 = hooks.counted() if hooks is not None else None
    done = client.wait_for("done")
    wall_s, deliveries = done["wall_s"], done["deliveries"]
    cpu_us = (server1.cpu_s - server0.cpu_s) * 1e6
    figures: Figures = {
        "deliveries_per_s": deliveries / wall_s,
        "sent_per_s": done["sent"] / wall_s,
        "answered_per_s": done["answered"] / wall_s,
        "cpu_us_per_delivery": cpu_us / deliveries if deliveries else None,
        "cpu_us_per_sent": cpu_us / done["sent"] if done["sent"] else None,
        "server_cores": cpu_us / wall_s / 1e6,
        "server_waited": (server1.waited_s - server0.waited_s) / wall_s,
        "client_waited": (client1.waited_s - client0.waited_s) / wall_s,
        "client_share": (client1.cpu_s - client0.cpu_s) / wall_s / len(conditions.client_cores),
        **{name: done[name] for name in ("delivery", "answer", "missing", "duplicates", "rejected", "lost", "redials")},
    }
    if hooks is not None and hooks0 is not None and hooks1 is not None:
        figures["webhook_events_per_s"] = (hooks1.events - hooks0.events) / wall_s
        figures["webhook_requests_per_s"] = (hooks1.requests - hooks0.requests) / wall_s
        figures["webhooks_missing"] = done["sent_in_all"] - _all_events(hooks, done["sent_in_all"])
    return figures


def _all_events(hooks: Endpoint, expected: int) -> int:
    """Wait until all have come, or no more do, and count them."""
    quiet_since, seen = time.monotonic(), -1
    while seen < expected and time.monotonic() - quiet_since < HOOKS_TIMEOUT_S:
        events = hooks.counted().events
        if events != seen:
            quiet_since, seen = time.monotonic(), events
        time.sleep(0.1)
    return seen
