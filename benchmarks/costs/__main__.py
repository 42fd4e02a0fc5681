"""`python -m benchmarks.costs`: the cost of each single thing, and loads by which the model is checked.

Writes `engine/cli/costs.json`, from which `python -m engine capacity` answers, and the tables of docs/capacity.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from importlib import metadata
from pathlib import Path

from benchmarks.costs.checks import compared
from benchmarks.costs.measure import measure_costs
from benchmarks.costs.page import PAGE, written
from benchmarks.load.machine import commit, load_average, machine
from engine.cli.sizing import costs_of

STORED = Path(__file__).resolve().parents[2] / "engine" / "cli" / "costs.json"
#: Of each figure; the rest is noise.
DIGITS = 4


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="of which the median counts (default: 8)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load in a round (default: 2)")
    parser.add_argument("--connections", type=int, default=4000, help="of each kind (default: 4000)")
    parser.add_argument("--output", type=Path, default=STORED, help=f"where to (default: {STORED.name} of the package)")
    options = parser.parse_args()
    load_before = load_average()
    figures, checked = measure_costs(options.rounds, options.seconds, options.connections)
    rounded = {
        name: [_rounded(value) for value in figure] if isinstance(figure, tuple) else _rounded(figure)
        for name, figure in figures.items()
    }
    checks = compared(costs_of(rounded), checked)
    hardware = machine()
    told = {
        "about": {
            "version": f"engine {metadata.version('engine')}, commit {str(commit()['commit'])[:10]}",
            "time": time.strftime("%Y-%m-%d", time.gmtime()),
            "machine": f"{hardware['cpu']}, {hardware['cores']} cores, Linux {hardware['kernel']}",
            "load_average": f"{load_before:.1f}",
            "command": "python -m benchmarks.costs",
        },
        "costs": rounded,
        "checks": checks,
    }
    options.output.write_text(json.dumps(told, indent=2) + "\n")
    if options.output == STORED:
        PAGE.write_text(written(told, PAGE.read_text()))
    print(json.dumps(told["costs"], indent=2))
    for point in checks:
        print(point["title"])
        for name in ("cores", "redis_cores", "bytes"):
            pair = point.get(name, {"said": math.nan, "measured": math.nan})
            assert isinstance(pair, dict)
            print(f"  {name}: said {pair['said']:g}, measured {pair['measured']:g}")
    return 0


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


if __name__ == "__main__":
    sys.exit(main())
