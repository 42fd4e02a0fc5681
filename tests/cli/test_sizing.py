"""The model of what a load takes: it says what its own measurement says, and moves as loads move."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import Any

import pytest

from engine.cli.sizing import (
    ENVELOPE_BYTES,
    FRAME_BYTES,
    GIB,
    KERNEL_BYTES,
    RATES,
    Costs,
    Load,
    Machine,
    at,
    at_rate,
    plan,
    reached,
    stored,
)

#: How much more than what was measured the model may say, at loads that it was not fitted to; less it may not. Redis is
#: told several events at once by a worker that is busy, which the model does not count on.
MORE = {"cores": 1.5, "redis_cores": 3.0}
MEMORY_WITHIN = 1.35
LOAD = Load(connections=1e5, publishes=2000, subscribers=20, client_events=100, webhooks=500)


@pytest.fixture(scope="module")
def costs() -> Costs:
    return stored().costs


@pytest.mark.parametrize("what", MORE)
@pytest.mark.parametrize("number", range(6))
def test_it_never_promises_too_much(number: int, what: str) -> None:
    point: Any = stored().checks[number]
    said, measured = point[what]["said"], point[what]["measured"]
    assert measured <= said <= measured * MORE[what], point["title"]


@pytest.mark.parametrize("number", [0, 1])
def test_it_knows_the_memory_of_loads_that_it_was_not_fitted_to(number: int) -> None:
    point: Any = stored().checks[number]
    said, measured = point["bytes"]["said"], point["bytes"]["measured"]
    assert measured / MEMORY_WITHIN <= said <= measured * MEMORY_WITHIN, point["title"]


def test_events_share_awakenings_the_more_there_are_and_a_second_of_more_takes_more() -> None:
    cost = (200.0, 80.0, 40.0)
    rates = [1.0, *range(50, 4000, 50)]
    each = [at_rate(cost, rate) for rate in rates]
    assert each == sorted(each, reverse=True) and (each[0], each[-1]) == (200.0, 40.0)
    second = [rate * one for rate, one in zip(rates, each, strict=True)]
    assert second == sorted(second)
    assert [at_rate(cost, rate) for rate in RATES] == pytest.approx(cost)


def test_the_stored_answers_are_those_of_this_model(costs: Costs) -> None:
    """Whoever changes the model measures again."""
    for point in stored().checks:
        described: Any = point
        found = at(costs, Load(**described["load"]), Machine(), described["workers"], 1)
        assert found.worker_cores == pytest.approx(described["cores"]["said"], rel=0.02)
        assert found.redis_cores == pytest.approx(described["redis_cores"]["said"], rel=0.05)


def test_what_the_kernel_keeps_and_bits_are_counted(costs: Costs) -> None:
    """Neither is in what was measured of the processes."""
    few, many = (at(costs, Load(connections=number), Machine(), 1, 1) for number in (1e3, 2e3))
    joined = 1e3 * (costs.connection_bytes + 3 * costs.join_bytes + costs.channel_bytes)
    assert many.memory_bytes - few.memory_bytes >= joined + 1e3 * KERNEL_BYTES
    said = at(costs, Load(connections=1, publishes=1, subscribers=1, bytes=1000), Machine(), 1, 1)
    assert said.network_bits == 8 * (1000 + FRAME_BYTES)
    assert said.redis_bits == 2 * 8 * (1000 + ENVELOPE_BYTES)


def test_every_cost_counts(costs: Costs) -> None:
    """None is stored for nothing: with more of it the plan takes more of something."""
    before = at(costs, LOAD, Machine(), 16, 2)
    for field in fields(Costs):
        cost = getattr(costs, field.name)
        more = tuple(each * 10 + 1 for each in cost) if isinstance(cost, tuple) else cost * 10 + 1
        dearer = replace(costs, **{field.name: more})
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
