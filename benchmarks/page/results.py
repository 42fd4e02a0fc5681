"""The stored results, read for the page: medians over rounds, by scenario and server."""

from __future__ import annotations

import json
import statistics
from functools import reduce
from pathlib import Path
from typing import Any

from benchmarks.load.programs import ROOT
from benchmarks.load.report import WAITED, WRONG

FOLDER = ROOT / "benchmarks" / "results"


class LoadResult:
    """The figures of `benchmarks/results/load.json`."""

    def __init__(self, stored: dict[str, Any]) -> None:
        self.stored = stored

    def servers(self, scenario: str) -> list[str]:
        """Those measured in a scenario, in the order of the result file's table of servers."""
        runs = self.stored["runs"].get(scenario, {})
        return [name for name in self.stored["servers"] if name in runs]

    def title(self, server: str) -> str:
        title: str = self.stored["servers"][server]["title"]
        return title

    def rounds(self, scenario: str, server: str, figure: str) -> list[float]:
        """One figure of each round; a path into the figures is dotted. Rounds without it are left out."""
        found = []
        for run in self.stored["runs"].get(scenario, {}).get(server, ()):
            value = reduce(lambda each, key: each.get(key) if each else None, figure.split("."), run)
            if value is not None:
                found.append(float(value))
        return found

    def median(self, scenario: str, server: str, figure: str) -> float | None:
        rounds = self.rounds(scenario, server, figure)
        return statistics.median(rounds) if rounds else None

    def ratio(self, scenario: str, server: str, other: str, figure: str) -> float | None:
        """Of two servers, both in the same run."""
        one, two = self.median(scenario, server, figure), self.median(scenario, other, figure)
        return one / two if one is not None and two else None

    def wrong(self) -> list[str]:
        """Everything that was lost, doubled or refused in any measurement."""
        found = []
        for scenario, servers in self.stored["runs"].items():
            for server, runs in servers.items():
                for name in WRONG:
                    count = sum(run.get(name, 0) for run in runs)
                    if count:
                        found.append(f"{scenario}, {self.title(server)}: {count:,} {name.replace('_', ' ')}")
        return found

    def disturbed(self) -> int:
        """Measurements in which the server had to share its core with something else."""
        every = [run for servers in self.stored["runs"].values() for runs in servers.values() for run in runs]
        return sum(run.get("server_waited", 0) > WAITED for run in every)


def read(name: str) -> dict[str, Any] | None:
    """A result file; None when it was never made."""
    path: Path = FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None
