"""The page says what the result files say: medians, goals reached and missed, and what went wrong."""

from __future__ import annotations

from typing import Any

from benchmarks.load.scenarios import SCENARIOS
from benchmarks.page import svg
from benchmarks.page.goals import goals
from benchmarks.page.results import LoadResult
from benchmarks.page.tables import COLUMNS, goal_table, scenario_table


def result(**runs: dict[str, list[dict[str, Any]]]) -> LoadResult:
    servers = {name: {"title": name, "missing": ""} for name in ("floor", "engine", "soketi")}
    return LoadResult({"servers": servers, "runs": {name.replace("_", "-"): each for name, each in runs.items()}})


def test_every_scenario_has_columns() -> None:
    assert [scenario.name for scenario in SCENARIOS] == list(COLUMNS)


def test_a_row_shows_the_median_and_the_range_of_the_rounds() -> None:
    load = result(fan_out={"engine": [{"cpu_us_per_delivery": value} for value in (9.0, 5.0, 6.0)]})
    [row] = scenario_table(load, "fan-out").splitlines()[2:]
    assert row.startswith("| **engine** | 6.00<br><sub>5.00–9.00</sub> | – |")


def test_goals_are_ratios_of_one_run() -> None:
    load = result(
        fan_out={"floor": [{"cpu_us_per_delivery": 5.0}], "engine": [{"cpu_us_per_delivery": 6.0}]},
        fan_out_flat={
            "floor": [{"deliveries_per_s": 500.0}],
            "engine": [{"deliveries_per_s": 1000.0}],
            "soketi": [{"deliveries_per_s": 100.0}],
        },
    )
    table = goal_table(goals(load, None))
    assert "| at most 1.1 × | 1.20 × | **missed** |" in table
    assert "| at least 10 × | 10.0 × | reached |" in table
    assert "| at least 1 × | 2.00 × | reached |" in table
    assert "| at least 250,000 | – | not measured |" in table


def test_what_went_wrong_is_said() -> None:
    load = result(fan_out={"engine": [{"missing": 0, "lost": 0}], "soketi": [{"missing": 7}, {"missing": 1000}]})
    assert load.wrong() == ["fan-out, soketi: 1,007 missing"]


def test_plots_are_drawn_to_scale() -> None:
    plot = svg.bars("Cost", {"engine": 50.0, "other": 100.0}, "µs", 1, "engine")
    assert 'width="210.0"' in plot and 'width="420.0"' in plot and "50.0 µs" in plot
    assert svg.lines("Time", {"one": [(1, 0.5), (100, 40)]}, "size", "µs").count("<circle") == 2
