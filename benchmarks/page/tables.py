"""Tables in Markdown: of one scenario, of the micro-benchmarks, of the goals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.page.goals import Goal
from benchmarks.page.results import LoadResult


@dataclass(frozen=True)
class Column:
    """:ivar figure: dotted path into a run's figures. :ivar scale: from the stored unit to the shown one."""

    title: str
    figure: str
    digits: int = 0
    scale: float = 1


_CPU = Column("CPU per delivery, µs", "cpu_us_per_delivery", 2)
_PER_EVENT = Column("CPU per event sent, µs", "cpu_us_per_sent", 1)
_DELIVERED = Column("deliveries/s", "deliveries_per_s")
_SENT = Column("events sent/s", "sent_per_s")
_P50 = Column("p50, ms", "delivery.p50_us", 2, 1e-3)
_P99 = Column("p99, ms", "delivery.p99_us", 2, 1e-3)
_P999 = Column("p99.9, ms", "delivery.p999_us", 2, 1e-3)
_SERVER = Column("server, cores", "server_cores", 2)
_CLIENT = Column("client, of its cores", "client_share", 2)
_LATENCY = (_P50, _P99, _P999)
_CONNECTING = (
    Column("connects/s", "connects_per_s"),
    Column("CPU per connect, µs", "connect_cpu_us"),
    Column("KiB per connection", "kib_per_connection", 2),
    Column("p50 to subscribed, ms", "connect.p50_us", 1, 1e-3),
    Column("p99, ms", "connect.p99_us", 1, 1e-3),
)
_PUBLISHING = (Column("publishes/s", "answered_per_s"), Column("CPU per publish, µs", "cpu_us_per_sent", 1))
_ANSWER = (Column("p50 to answer, ms", "answer.p50_us", 2, 1e-3), Column("p99, ms", "answer.p99_us", 2, 1e-3))

_WEBHOOKS = (
    _SENT,
    Column("webhook events/s", "webhook_events_per_s"),
    Column("requests/s", "webhook_requests_per_s"),
    Column("never arrived", "webhooks_missing"),
    _PER_EVENT,
    _P99,
    _SERVER,
)

COLUMNS: Mapping[str, Sequence[Column]] = {
    "fan-out": (_CPU, _DELIVERED, *_LATENCY, _SERVER, _CLIENT),
    "fan-out-flat": (_DELIVERED, _CPU, *_PUBLISHING[:1], *_LATENCY, _SERVER, _CLIENT),
    "fan-out-half": (_CPU, *_LATENCY, _SERVER, _CLIENT),
    "publish": (*_PUBLISHING, *_ANSWER, _SERVER, _CLIENT),
    "publish-16": (*_PUBLISHING, *_ANSWER, _SERVER, _CLIENT),
    "publish-pipelined": (*_PUBLISHING, *_ANSWER, _SERVER, _CLIENT),
    "storm": _CONNECTING,
    "idle": (_CONNECTING[2], Column("KiB before the first connection", "idle_kib")),
    "many-channels": (*_PUBLISHING, *_ANSWER, *_CONNECTING[1:3], _SERVER, _CLIENT),
    "rooms": (_CPU, *_PUBLISHING, *_LATENCY, _SERVER, _CLIENT),
    "rooms-flat": (*_PUBLISHING[:1], _DELIVERED, _CPU, *_LATENCY, _SERVER, _CLIENT),
    "presence": (Column("joins/s", "answered_per_s"), _DELIVERED, _CPU, *_ANSWER, _SERVER, _CLIENT),
    "client-events": (_SENT, _DELIVERED, _CPU, *_LATENCY, _SERVER, _CLIENT),
    "webhooks": _WEBHOOKS,
    "webhooks-flat": _WEBHOOKS,
    "two-workers": (_CPU, _DELIVERED, *_LATENCY, _SERVER, _CLIENT),
    "two-workers-few": (_CPU, _DELIVERED, *_LATENCY, _SERVER, _CLIENT),
    "client-limit": (_DELIVERED, _SERVER, _CLIENT),
}


def scenario_table(load: LoadResult, scenario: str) -> str:
    """A row for each server: the median of the rounds, and below it their range when there are several."""
    columns = COLUMNS[scenario]
    rows = []
    for server in load.servers(scenario):
        cells = [f"**{load.title(server)}**" if server.startswith("engine") else load.title(server)]
        for column in columns:
            cells.append(_cell(load.rounds(scenario, server, column.figure), load, scenario, server, column))
        rows.append(cells)
    return table(["", *(column.title for column in columns)], rows)


def _cell(rounds: list[float], load: LoadResult, scenario: str, server: str, column: Column) -> str:
    median = load.median(scenario, server, column.figure)
    if median is None:
        return "–"
    shown = _number(median * column.scale, column.digits)
    low, high = (_number(each * column.scale, column.digits) for each in (min(rounds), max(rounds)))
    return f"{shown}<br><sub>{low}–{high}</sub>" if low != high else shown


def goal_table(goals: Sequence[Goal]) -> str:
    rows = []
    for goal in goals:
        side = "at least" if goal.at_least else "at most"
        unit = f" {goal.unit}" if goal.unit else ""
        measured = "–" if goal.measured is None else f"{_significant(goal.measured)}{unit}"
        verdict = {None: "not measured", True: "reached", False: "**missed**"}[goal.reached]
        rows.append([goal.text, f"{side} {goal.limit:,g}{unit}", measured, verdict])
    return table(["", "goal", "measured", ""], rows)


def micro_table(micro: dict[str, Any]) -> str:
    rows = []
    for each in micro["benchmarks"]:
        size = each["parameter"]
        shown = f"{int(size):,}" if size.isdigit() else size
        rows.append([each["name"].replace("_", " "), shown, _time(each["median_us"]), _time(each["min_us"])])
    return table(["", "subscribers, channels or input", "median", "least"], rows)


def growth_table(beside: str, points: Sequence[dict[str, Any]]) -> str:
    head = [
        beside,
        "a publish, µs",
        "an arrival, µs",
        "a departure, µs",
        "at rest, cores",
        "bytes of each",
        "timers late by 5 ms",
    ]
    rows = []
    for point in points:
        times = [_number(point[figure], 0) for figure in ("publish_us", "arrive_us", "leave_us")]
        late = f"{point['pauses']:,} of {point['timers']:,}"
        rows.append([f"{point['size']:,}", *times, f"{point['rest_cores']:.3f}", _number(point["bytes_each"], 0), late])
    return table(head, rows)


def instruction_table(stored: dict[str, Any]) -> str:
    rows = [[name.replace("_", " "), f"{count:,}"] for name, count in sorted(stored["instructions"].items())]
    return table(["one call", "instructions"], rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """First column to the left, all others to the right."""
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def _significant(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _time(us: float) -> str:
    if us < 1:
        return f"{us * 1e3:.0f} ns"
    return f"{us:,.1f} µs" if us < 1000 else f"{us / 1e3:,.2f} ms"
