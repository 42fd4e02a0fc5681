"""The tables of docs/capacity.md, from what is stored; everything else on that page is written by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from engine.cli.sizing import RATES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "capacity.md"
#: Between these two lines of the page.
BEGIN, END = "<!-- From engine/cli/costs.json, by `make bench-costs`; do not edit. -->", "<!-- The end of it. -->"
#: Each cost: what it is of, and where.
ROWS = (
    ("a connection: its coming, its life without events, its going", "connect_us", "", "connection_bytes"),
    ("a ping, every 120 s of a silent client", "ping_us", "", ""),
    ("a join and its leaving, with others there", "join_us", "redis_join_us", "join_bytes"),
    ("more, when the channel is new in that worker", "channel_us", "", "channel_bytes"),
    ("a publish", "publish_us", "redis_publish_us", ""),
    ("more, for each kB of its data", "publish_kb_us", "", ""),
    ("its arrival in a worker with subscribers", "arrival_us", "redis_arrival_us", ""),
    ("its delivery to one subscriber", "delivery_us", "", ""),
    ("more, for each kB of its data", "delivery_kb_us", "", ""),
    ("a client event", "client_event_us", "redis_publish_us", ""),
    ("a webhook event", "webhook_us", "redis_webhook_us", ""),
)


def render(told: Any) -> str:
    costs, about = told["costs"], told["about"]
    rates = " / ".join(f"{rate:,.0f}" for rate in RATES)
    lines = [
        f"Measured {about['time']} with {about['version']} by `{about['command']}` on {about['machine']};"
        f" load average before it {about['load_average']}.",
        "",
        f"| of one, at {rates} a second | worker, µs | Redis, µs | worker, bytes |",
        "|---|---:|---:|---:|",
    ]
    for title, *names in ROWS:
        cells = [_micros(costs[name]) if name and name.endswith("_us") else "" for name in names[:2]]
        cells.append(f"{costs[names[2]]:,.0f}" if names[2] else "")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    lines += [
        "",
        f"A worker without work takes {costs['worker_bytes'] / 2**20:.0f} MiB, {costs['worker_cores']:.1%} of a core"
        f" and {costs['redis_worker_cores']:.1%} of the core of Redis;"
        f" the supervisor takes {costs['node_bytes'] / 2**20:.0f} MiB."
        f" An occupied channel takes {costs['redis_channel_bytes']:,.0f} bytes in Redis.",
        "",
        "| a load that the costs were not taken from | cores: said | measured"
        " | Redis: said | measured | MiB: said | measured |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for point in told["checks"]:
        cells = [f"{point['cores'][of]:.3f}" for of in ("said", "measured")]
        cells += [f"{point['redis_cores'][of]:.3f}" for of in ("said", "measured")]
        cells += [f"{point['bytes'][of] / 2**20:.1f}" if "bytes" in point else "" for of in ("said", "measured")]
        lines.append(f"| {point['title']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _micros(cost: float | list[float]) -> str:
    return " / ".join(f"{each:,.3g}" for each in (cost if isinstance(cost, list) else [cost]))


def written(told: Any, page: str) -> str:
    """The page with these tables."""
    pattern = re.compile(f"{re.escape(BEGIN)}\n.*?\n{re.escape(END)}", re.S)
    return pattern.sub(lambda _: f"{BEGIN}\n\n{render(told)}\n\n{END}", page)
