"""The figures of several nodes, put together."""

from __future__ import annotations

from typing import Any

import pytest

from engine.console import nodes as module
from engine.console.nodes import GONE_S, Nodes
from engine.metrics.figures import Figures, summary


def figures(connected: float, published: float, took: tuple[float, ...] = (0, 0), **more: Any) -> dict[str, Any]:
    found = Figures()
    found.sums |= {"connected": connected, "broadcast_messages_total": published}
    found.buckets = {"took": list(took)}
    found.workers = {"0": {"cpu_s": published / 10, "resident_bytes": 100.0}, "supervisor": {"resident_bytes": 5.0}}
    return summary(found) | more


@pytest.fixture
def nodes() -> Nodes:
    made = Nodes({"took": 2})
    made.add("a", "host-a:1", 1_000, figures(10, 100), 0.0, ours=True)
    made.add("b", "host-b:1", 90_000, figures(5, 1_000), 0.0, ours=False)
    return made


def test_rates_are_by_each_nodes_own_clock(nodes: Nodes) -> None:
    assert not any(nodes.look(0.0)["rates"].values())
    nodes.add("a", "host-a:1", 2_000, figures(11, 120, (3, 1)), 1.0, ours=True)
    nodes.add("b", "host-b:1", 92_000, figures(7, 1_020, (1, 0)), 1.0, ours=False)
    look = nodes.look(1.5)
    assert (look["sums"]["connected"], look["rates"]["broadcast_messages_total"]) == (18, 20 + 10)
    assert look["buckets"]["took"] == [4, 1]
    ours, other = look["nodes"]
    assert (ours["name"], ours["ours"], ours["workers"], ours["resident_bytes"]) == ("host-a:1", True, 1, 105)
    assert (other["name"], other["connections"], other["silent_s"]) == ("host-b:1", 7, 0.5)
    assert (ours["cpu"], other["cpu"]) == (2.0, 1.0)
    assert other["rates"]["broadcast_messages_total"] == 10
    # What was observed is told once, rates hold until the next figures.
    again = nodes.look(2.5)
    assert (again["buckets"]["took"], again["rates"]) == ([0, 0], look["rates"])


def test_a_node_that_started_again_has_no_negative_rate(nodes: Nodes) -> None:
    nodes.add("b", "host-b:1", 91_000, figures(0, 3), 1.0, ours=False)
    assert nodes.look(1.0)["rates"]["broadcast_messages_total"] == 0
    nodes.add("b", "host-b:1", 92_000, figures(0, 3, (5, 5)), 2.0, ours=False)
    nodes.add("b", "host-b:1", 93_000, figures(0, 3, (1, 7)), 3.0, ours=False)
    assert nodes.look(3.0)["buckets"]["took"] == [5, 7]


def test_a_node_that_was_away_begins_anew(nodes: Nodes) -> None:
    """What it did meanwhile was not done in this moment."""
    nodes.add("b", "host-b:1", 90_000 + 2_000 * GONE_S, figures(5, 9_000, (3, 3)), 2 * GONE_S, ours=False)
    look = nodes.look(2 * GONE_S)
    assert (look["rates"]["broadcast_messages_total"], look["buckets"]["took"]) == (0, [0, 0])


def test_all_nodes_are_counted_and_so_many_named(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NODES", 1)
    look = nodes.look(0.0)
    assert (look["number_of_nodes"], [node["name"] for node in look["nodes"]]) == (2, ["host-a:1"])


def test_the_same_figures_twice_are_one_answer(nodes: Nodes) -> None:
    nodes.add("b", "host-b:1", 91_000, figures(5, 1_010), 1.0, ours=False)
    nodes.add("b", "host-b:1", 91_000, figures(5, 1_010), 1.1, ours=False)
    assert nodes.look(1.1)["rates"]["broadcast_messages_total"] == 10


def test_a_silent_node_is_kept_for_a_while_and_then_gone(nodes: Nodes) -> None:
    nodes.add("a", "host-a:1", 20_000, figures(10, 100), GONE_S - 1, ours=True)
    assert nodes.look(GONE_S - 1)["number_of_nodes"] == 2
    look = nodes.look(GONE_S + 1)
    assert (look["number_of_nodes"], look["sums"]["connected"]) == (1, 10)


def test_applications_and_webhooks_are_summed_up_over_nodes(nodes: Nodes) -> None:
    hook = {"app": "1", "id": "h", "sent": 1, "failed": 2, "dead": 0}
    for life in ("c", "d"):
        nodes.add(life, life, 1, figures(0, 0, apps={"1": 2, "2": 1}, endpoints=[hook]), 0.0, ours=False)
    look = nodes.look(0.0)
    assert (look["apps"], look["endpoints"]) == ({"1": 4, "2": 2}, [hook | {"sent": 2, "failed": 4}])


def test_another_version_may_count_other_things(nodes: Nodes) -> None:
    other = figures(3, 0, (1, 2, 3))
    other["sums"] = {"connected": 3, "invented_total": 9}
    nodes.add("c", "c", 1, other, 0.0, ours=False)
    look = nodes.look(0.0)
    assert look["sums"]["connected"] == 18 and "invented_total" not in look["sums"]


@pytest.mark.parametrize("wrong", [{}, {"sums": 1}, {"apps": {"1": "x"}}, {"endpoints": [1]}, {"workers": None}])
def test_what_is_none_changes_nothing(nodes: Nodes, wrong: dict[str, Any]) -> None:
    given = {} if not wrong else figures(1, 1) | wrong
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        nodes.add("c", "c", 1, given, 0.0, ours=False)
    assert nodes.look(0.0)["number_of_nodes"] == 2
