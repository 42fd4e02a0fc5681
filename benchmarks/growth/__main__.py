"""`python -m benchmarks.growth`: what things cost beside more and more that nobody touches."""

from __future__ import annotations

import argparse
import json
import sys
import time

from benchmarks.growth.measure import PROCESSES, measure_growth
from benchmarks.load.machine import commit, load_average, machine
from benchmarks.page.results import FOLDER


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of publishing in a round (default: 4)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the least counts (default: 3)")
    options = parser.parse_args()
    told = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": commit()["commit"],
        "machine": machine(),
        "load_average": load_average(),
        "command": "python -m benchmarks.growth",
        "workers": PROCESSES,
        "beside": measure_growth(options.seconds, options.rounds),
    }
    (FOLDER / "growth.json").write_text(json.dumps(told, indent=2) + "\n")
    for beside, points in told["beside"].items():  # type: ignore[attr-defined]
        for point in points:
            print(beside, " ".join(f"{name} {value:g}" for name, value in point.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
