"""The model of what a load takes: it says what its own measurement says, and moves as loads move."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import Any

import pytest

from engine.cli.sizing import GIB, Costs, Load, Machine, at, plan, reached, stored

#: What the model may be wrong by at loads that it was not fitted to; others used the machine when they were measured.
WITHIN = 1.35
LOAD = Load(connections=1e5, publishes=2000, subscribers=20, client_events=100, webhooks=500)


@pytest.fixture(scope="module")
def costs() -> Costs:
    return stored().costs


@pytest.mark.parametrize(
    ("number", "what"), [(0, "cores"), (1, "cores"), (0, "redis_cores"), (1, "redis_cores"), (0, "bytes")]
)
def test_it_is_right_at_loads_that_it_was_not_fitted_to(number: int, what: str) -> None:
    point: Any = stored().checks[number]
    said, measured = point[what]["said"], point[what]["measured"]
    assert measured / WITHIN <= said <= measured * WITHIN, point["title"]


def test_the_stored_answers_are_those_of_this_model(costs: Costs) -> None:
    """Whoever changes the model measures again."""
    for point in stored().checks:
        described: Any = point
        found = at(costs, Load(**described["load"]), Machine(), described["workers"], 1)
        assert found.worker_cores == pytest.approx(described["cores"]["said"], rel=0.02)
        assert found.redis_cores == pytest.approx(described["redis_cores"]["said"], rel=0.05)


def test_every_cost_counts(costs: Costs) -> None:
    """None is stored for nothing: with more of it the plan takes more of something."""
    before = at(costs, LOAD, Machine(), 16, 2)
    for field in fields(Costs):
        dearer = replace(costs, **{field.name: getattr(costs, field.name) * 10 + 1})
        after = at(dearer, LOAD, Machine(), 16, 2)
        assert asdict(after) != asdict(before), field.name


@pytest.mark.parametrize("more", ["connections", "publishes", "subscribers", "client_events", "webhooks", "bytes"])
def test_more_of_anything_takes_more(costs: Costs, more: str) -> None:
    few, many = (at(costs, load, Machine(), 16, 2) for load in (LOAD, replace(LOAD, **{more: getattr(LOAD, more) * 3})))
    assert max(many.worker_cores / few.worker_cores, many.network_bits / few.network_bits) > 1


def test_a_plan_keeps_what_is_to_be_kept_free_and_no_node_is_too_many(costs: Costs) -> None:
    machine = Machine(cores=4, memory_bytes=8 * GIB)
    found = plan(costs, replace(LOAD, connections=1e6), machine)
    assert not found.lacks(machine)
    assert found.nodes > 1
    one_less = at(costs, replace(LOAD, connections=1e6), machine, found.workers - 4, found.nodes - 1)
    assert one_less.lacks(machine) > 1


def test_what_is_full_first(costs: Costs) -> None:
    assert plan(costs, Load(connections=1e6, session_s=1e9), Machine(1, 1 * GIB)).first == "memory of a node"
    assert plan(costs, Load(connections=1e4, publishes=50, subscribers=1e4), Machine()).first == "workers' cores"
    assert "webhooks" in plan(costs, Load(connections=100, webhooks=1e5), Machine()).first


def test_how_many_workers_hear_of_an_event() -> None:
    assert reached(1, 10) == 1
    assert reached(8, 1) == pytest.approx(1)
    assert reached(8, 10_000) == pytest.approx(8)
    assert 4 < reached(8, 8) < 8
