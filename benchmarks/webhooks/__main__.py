"""`python -m benchmarks.webhooks`: does an endpoint that never answers move the delivery latency of another one?

Two endpoints get every client event. In the rounds A both answer, in the rounds B the second one is a black hole.
Rounds alternate, each with a fresh engine, and what counts is the ratio within one run: the goal is at most 1.10.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from contextlib import AsyncExitStack
from typing import Any

from benchmarks.webhooks.endpoint import Endpoints, endpoints
from tests.support.client import PusherClient, connected
from tests.support.engine import APP, Engine, running

CHANNELS = 20
CLIENTS = 10
WARMUP_S = 1.0
TIMEOUT_S = 20.0


def main() -> int:
    args = _arguments()
    p99s: dict[str, list[float]] = {"A": [], "B": []}
    pooled: dict[str, list[float]] = {"A": [], "B": []}
    _say(
        f"{args.rate} events/s, batching {'on' if args.batching else 'off'}, {args.workers} workers,"
        f" {args.seconds:g} s a round; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    with endpoints() as hooks:
        for _ in range(args.rounds):
            for mode, answers in (("A", True), ("B", False)):
                hooks.second_answers(answers)
                latencies = _round(hooks, args)
                pooled[mode] += latencies
                p99s[mode].append(_quantile(latencies, 0.99))
                _say(
                    f"{mode}: {len(latencies)} events, p50 {_quantile(latencies, 0.5):6.1f} ms,"
                    f" p99 {p99s[mode][-1]:6.1f} ms, max {max(latencies):6.1f} ms"
                )
    for name, of in (("p50", 0.5), ("p99", 0.99)):
        a, b = (_quantile(pooled[mode], of) for mode in "AB")
        _say(f"{name} of all rounds: A {a:.1f} ms, B {b:.1f} ms, B / A {b / a:.2f}")
    medians = [statistics.median(p99s[mode]) for mode in "AB"]
    _say(f"median p99 of a round: A {medians[0]:.1f} ms, B {medians[1]:.1f} ms, B / A {medians[1] / medians[0]:.2f}")
    return 0


def _round(hooks: Endpoints, args: argparse.Namespace) -> list[float]:
    with running(_config(hooks.url, args.batching), args.workers, noise=None) as engine:
        for seconds in (WARMUP_S, args.seconds):
            sent = asyncio.run(_load(engine, seconds, args.rate))
            latencies = _all(hooks, sent)
    return latencies


def _all(hooks: Endpoints, sent: int) -> list[float]:
    """The latencies of so many events, once the last one has come."""
    deadline = time.monotonic() + TIMEOUT_S
    latencies = hooks.latencies_ms()
    while len(latencies) < sent:
        if time.monotonic() > deadline:
            sys.exit(f"{sent - len(latencies)} of {sent} events never came")
        time.sleep(0.05)
        latencies += hooks.latencies_ms()
    return latencies


def _config(url: str, batching: bool) -> dict[str, Any]:
    webhooks = [{"url": f"{url}/{name}", "event_types": ["client_event"]} for name in ("second", "good")]
    return {
        "app_manager": {"array": {"apps": [APP | {"webhooks": webhooks}]}},
        "webhooks": {"batching": {"enabled": batching, "duration": 50}},
        "shutdown_grace_period": 1,
    }


async def _load(engine: Engine, seconds: float, rate: int) -> int:
    """Send events at the rate; how many."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        clients: list[PusherClient] = []
        for _ in range(CLIENTS):
            client = await stack.enter_async_context(connected(engine.ws_url))
            for channel in range(CHANNELS):
                await client.subscribe(f"private-{channel}")
            clients.append(client)
        began, number = loop.time(), 0
        while loop.time() < began + seconds:
            client, channel = clients[number % CLIENTS], f"private-{number // CLIENTS % CHANNELS}"
            await client.send("client-n", str(time.time_ns()), channel)
            for each in clients:
                each.frames.clear()
            number += 1
            await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        await asyncio.gather(*(client.settle() for client in clients))
    return number


def _quantile(values: list[float], of: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * of))]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.webhooks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=int, default=300, help="client events per second (default: 300)")
    parser.add_argument("--seconds", type=float, default=5, help="measured time of one round (default: 5)")
    parser.add_argument("--rounds", type=int, default=3, help="pairs of rounds (default: 3)")
    parser.add_argument("--workers", type=int, default=2, help="of the engine (default: 2)")
    parser.add_argument("--no-batching", dest="batching", action="store_false", help="a request for each event")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
