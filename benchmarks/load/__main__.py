"""`python -m benchmarks.load [SCENARIO …]`: runs load scenarios side by side and stores their figures.

Rounds are interleaved, so that a slow minute of the machine hits all servers alike; every measurement has a fresh
server, pinned to one core, with the load client on the others.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.load import machine
from benchmarks.load.load_client import ClientFailed
from benchmarks.load.measure import Conditions, Figures, measure
from benchmarks.load.programs import ROOT
from benchmarks.load.report import line
from benchmarks.load.scenarios import BY_NAME, HALF_FALLBACK, HALF_OF, SCENARIOS, Scenario
from benchmarks.load.servers.base import Server
from benchmarks.load.servers.engine import Engine
from benchmarks.load.servers.floor import Floor
from benchmarks.load.servers.plain import PlainWebsockets
from benchmarks.load.servers.soketi import Soketi

RESULT = ROOT / "benchmarks" / "results" / "load.json"
SERVERS: dict[str, Server] = {
    server.name: server
    for server in (
        Floor(),
        Engine(),
        Engine(workers=2),
        Engine(workers=2, shared_memory=False),
        Soketi(),
        PlainWebsockets(),
    )
}

#: scenario -> server -> figures of each round
Runs = dict[str, dict[str, list[Figures]]]


def main() -> int:
    args = _arguments()
    if args.list:
        for scenario in SCENARIOS:
            print(f"{scenario.name:<20}{scenario.title}: {scenario.text}")
        return 0
    conditions = _conditions(args)
    _raise_file_limit()
    missing = _missing(args)
    todo = [
        (scenario, SERVERS[name], round_)
        for round_ in range(args.rounds)
        for scenario in args.scenarios
        for name in scenario.servers
        if (not args.servers or name in args.servers) and name not in missing
    ]
    load_average = machine.load_average()
    runs: Runs = {}
    failures = 0
    for number, (scenario, server, round_) in enumerate(todo, 1):
        _say(f"[{number}/{len(todo)}] {scenario.name} · {server.name} · round {round_ + 1}/{args.rounds} … ", end="")
        began = time.monotonic()
        try:
            figures = measure(scenario, server, conditions, _rate(scenario, runs))
        except (ClientFailed, RuntimeError) as error:
            failures += 1
            _say(f"failed: {error}")
            continue
        runs.setdefault(scenario.name, {}).setdefault(server.name, []).append(figures)
        _say(f"{line(scenario, figures)} ({time.monotonic() - began:.0f} s)")
    result = {
        "format": 1,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": machine.command_line(),
        **machine.commit(),
        "machine": machine.machine(),
        "load_average": round(load_average, 2),
        "versions": machine.versions(),
        "conditions": {
            "seconds": args.seconds,
            "warmup_s": args.warmup,
            "rounds": args.rounds,
            "scale": args.scale,
            "server_cores": sorted(conditions.server_cores),
            "client_cores": sorted(conditions.client_cores),
            "client_processes": conditions.processes,
            "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        },
        "servers": {
            name: {"title": server.title, "missing": missing.get(name, "")}
            | ({} if name in missing else {"version": server.version()})
            for name, server in SERVERS.items()
            if name in missing or any(name in measured for measured in runs.values())
        },
        "scenarios": {
            name: {"title": BY_NAME[name].title, "text": BY_NAME[name].text, "client": dict(BY_NAME[name].client)}
            for name in runs
        },
        "runs": runs,
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(_rounded(result), indent=1) + "\n")
    _say(f"stored in {args.output}")
    return 1 if failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scenarios", metavar="SCENARIO", nargs="*", help="default: all; --list names them")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    parser.add_argument("--servers", metavar="NAME,…", default="", help=f"of {', '.join(SERVERS)}; default: all")
    parser.add_argument("--seconds", type=float, default=10, help="measured time of one run (default: 10)")
    parser.add_argument(
        "--warmup", type=float, default=2, help="load before the measured time, in seconds (default: 2)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured (default: 3)")
    parser.add_argument("--scale", type=float, default=1, help="of the numbers of connections, for quick tries")
    parser.add_argument("--server-core", type=int, help="where servers run (default: the first core)")
    parser.add_argument(
        "--output", type=Path, default=RESULT, help="result file (default: benchmarks/results/load.json)"
    )
    args = parser.parse_args()
    unknown = [name for name in args.scenarios if name not in BY_NAME]
    args.servers = [name for name in args.servers.split(",") if name]
    unknown += [name for name in args.servers if name not in SERVERS]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}")
    # In the order of the table: one scenario may take its rate from one before it.
    args.scenarios = [scenario for scenario in SCENARIOS if not args.scenarios or scenario.name in args.scenarios]
    return args


def _conditions(args: argparse.Namespace) -> Conditions:
    cores = sorted(os.sched_getaffinity(0))
    server = args.server_core if args.server_core is not None else cores[0]
    others = frozenset(cores) - {server}
    if not others:
        _say("there is one core only: server and client share it, and no figure means much")
    return Conditions(frozenset({server}), others or frozenset({server}), args.seconds, args.warmup, args.scale)


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = max(scenario.client["conns"] for scenario in SCENARIOS)
    if hard != resource.RLIM_INFINITY and hard < most + 200:
        _say(f"`ulimit -n` allows {hard} files: scenarios of {most:,} connections will fail; use --scale")


def _missing(args: argparse.Namespace) -> dict[str, str]:
    """Server -> why it cannot be measured here. Said at once, so that nobody waits for what does not come."""
    wanted = {name for scenario in args.scenarios for name in scenario.servers}
    found = {}
    for name, server in SERVERS.items():
        if name not in wanted or (args.servers and name not in args.servers):
            continue
        reason = server.missing()
        if reason:
            found[name] = reason
            _say(f"without {name}: {reason}")
    return found


def _rate(scenario: Scenario, runs: Runs) -> float | None:
    if not scenario.half_of:
        return None
    flat = runs.get(scenario.half_of, {}).get(HALF_OF)
    return round(statistics.median(run["answered_per_s"] for run in flat) / 2, 1) if flat else HALF_FALLBACK


def _rounded(value: Any) -> Any:
    """Without digits that mean nothing."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value


def _say(text: str, end: str = "\n") -> None:
    sys.stderr.write(text + end)
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
