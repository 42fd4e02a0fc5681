"""Keeps of pytest-benchmark's file what the page shows: `python -m benchmarks.micro.store FILE`."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.load import machine
from benchmarks.load.programs import ROOT

RESULT = ROOT / "benchmarks" / "results" / "micro.json"


def main(path: Path) -> None:
    benchmarks = json.loads(path.read_text())["benchmarks"]
    result = {
        "format": 1,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": "make bench-micro",
        **machine.commit(),
        "machine": machine.machine(),
        "load_average": round(machine.load_average(), 2),
        "versions": machine.versions(),
        "benchmarks": [_figures(each) for each in benchmarks],
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(f"stored in {RESULT.relative_to(ROOT)}")


def _figures(benchmark: dict[str, Any]) -> dict[str, Any]:
    """Times in microseconds, of one call."""
    stats, info = benchmark["stats"], benchmark["extra_info"]
    calls = info.get("per_round", 1)
    name, _, parameter = benchmark["name"].removeprefix("bench_").partition("[")
    parameter = str(info.get("subscribers", info.get("channels", parameter.rstrip("]"))))
    return {
        "file": Path(benchmark["fullname"].partition("::")[0]).stem.removeprefix("bench_"),
        "name": name,
        "parameter": parameter,
        "rounds": stats["rounds"],
        **{f"{key}_us": float(f"{stats[key] / calls * 1e6:.4g}") for key in ("min", "median", "mean", "stddev")},
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
