"""The figures of all nodes put together: sums, rates, and what was observed since the last look.

Pure: it asks nobody. Each node's rates are by its own clock, and a node that is not heard keeps its last figures for a
while, so that one late answer is no dip in a line.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from engine.metrics.figures import MAX_APPS, MAX_ENDPOINTS, OF_ENDPOINTS, OF_NODES, SUMS

#: Then a node counts as gone.
GONE_S = 15.0
#: That are named; all are counted.
MAX_NODES = 100
#: Of the rates, what is shown of each node.
_SHOWN = ("broadcast_messages_total", "ws_messages_sent_total", "ws_messages_received_total")


@dataclass(slots=True)
class _Node:
    name: str
    ours: bool
    time_ms: float
    heard_s: float
    figures: dict[str, Any]
    rates: dict[str, float] = field(default_factory=dict)


class Nodes:
    """:param buckets: how many each histogram has."""

    def __init__(self, buckets: dict[str, int]) -> None:
        self._buckets = buckets
        self._nodes: dict[str, _Node] = {}
        self._observed = {name: [0.0] * number for name, number in buckets.items()}

    def add(self, life: str, name: str, time_ms: float, given: dict[str, Any], now_s: float, *, ours: bool) -> None:
        """A node's figures (`metrics/figures.summary`). Raises ValueError and the like for what are none.

        :param time_ms: by the node's own clock. :param now_s: by this one.
        """
        figures = self._checked(given)
        node = _Node(str(name), ours, float(time_ms), now_s, figures)
        before = self._nodes.get(life)
        if before is not None and now_s - before.heard_s < GONE_S:
            if node.time_ms <= before.time_ms:
                return
            seconds = (node.time_ms - before.time_ms) / 1000
            for key in (*SUMS, "cpu_s"):
                node.rates[key] = max(0.0, _sum(figures, key) - _sum(before.figures, key)) / seconds
            for key, observed in self._observed.items():
                for at, (old, new) in enumerate(
                    zip(before.figures["buckets"][key], figures["buckets"][key], strict=True)
                ):
                    observed[at] += max(0.0, new - old)
        self._nodes[life] = node

    def look(self, now_s: float) -> dict[str, Any]:
        """Of the whole cluster: `sums`, their `rates` a second, `buckets` (what came since the last look), `apps`,
        `endpoints`, and `nodes`, ours first."""
        self._nodes = {life: node for life, node in self._nodes.items() if now_s - node.heard_s < GONE_S}
        nodes = sorted(self._nodes.values(), key=lambda node: (not node.ours, node.name))
        sums = {name: sum(node.figures["sums"][name] for node in nodes) for name in SUMS}
        rates = {name: sum(node.rates.get(name, 0.0) for node in nodes) for name in SUMS}
        observed = self._observed
        self._observed = {name: [0.0] * number for name, number in self._buckets.items()}
        return {
            "sums": sums,
            "rates": rates,
            "buckets": observed,
            "apps": _apps(nodes),
            "endpoints": _endpoints(nodes),
            "nodes": [_shown(node, now_s) for node in nodes[:MAX_NODES]],
            "number_of_nodes": len(nodes),
        }

    def _checked(self, given: dict[str, Any]) -> dict[str, Any]:
        """What another version does not count is 0, and what only it counts is passed over."""
        figures: dict[str, Any] = {"sums": {name: float(given["sums"].get(name, 0.0)) for name in SUMS}}
        figures["buckets"] = {}
        for name, number in self._buckets.items():
            buckets = [float(count) for count in given["buckets"].get(name, ())]
            figures["buckets"][name] = buckets if len(buckets) == number else [0.0] * number
        figures["apps"] = {str(app): float(count) for app, count in given["apps"].items()}
        figures["endpoints"] = [
            {"app": str(each["app"]), "id": str(each["id"])}
            | {name: float(each[name]) for name in OF_ENDPOINTS.values()}
            for each in given["endpoints"]
        ]
        for name in ("workers", *OF_NODES):
            figures[name] = float(given[name])
        return figures


def _sum(figures: dict[str, Any], name: str) -> float:
    return float(figures[name] if name in OF_NODES else figures["sums"][name])


def _apps(nodes: list[_Node]) -> dict[str, float]:
    """Those with the most connections."""
    found: Counter[str] = Counter()
    for node in nodes:
        found.update(node.figures["apps"])
    return dict(found.most_common(MAX_APPS))


def _endpoints(nodes: list[_Node]) -> list[dict[str, Any]]:
    """The worst first."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for node in nodes:
        for each in node.figures["endpoints"]:
            known = found.setdefault((each["app"], each["id"]), {"app": each["app"], "id": each["id"]})
            for name in OF_ENDPOINTS.values():
                known[name] = known.get(name, 0.0) + each[name]
    worst = sorted(found.values(), key=lambda each: (-each["dead"], -each["failed"], -each["sent"]))
    return worst[:MAX_ENDPOINTS]


def _shown(node: _Node, now_s: float) -> dict[str, Any]:
    return {
        "name": node.name,
        "ours": node.ours,
        "workers": node.figures["workers"],
        "connections": node.figures["sums"]["connected"],
        "resident_bytes": node.figures["resident_bytes"],
        "cpu": node.rates.get("cpu_s"),
        "silent_s": round(now_s - node.heard_s, 1),
        "rates": {name: node.rates.get(name, 0.0) for name in _SHOWN},
    }
