"""`python -m tests.simulation` plays many seeds; with `--seed N -v` one, and shows its schedule; with `--mutations` it
puts faults into the engine, one after another, and shows which seed finds each.
"""

from __future__ import annotations

import argparse
import logging
import math
import signal
import sys
import time

from tests.simulation.judge import Outcome, play
from tests.simulation.lives import Violation
from tests.simulation.mutation import Mutation
from tests.simulation.mutations.every import ALL
from tests.simulation.plan import Plan
from tests.simulation.runner import cores, play_one, players, seek_one
from tests.support.valkey import ValkeyServer

#: Played for each fault before it counts as not found.
MUTATION_SEEDS = 600
#: Seeds handed out between two looks at the time.
BATCH = 100


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one alone")
    parser.add_argument("--first", type=int, default=0, help="first of many seeds")
    parser.add_argument("--seeds", type=int, help=f"how many; {MUTATION_SEEDS} at most for each fault")
    parser.add_argument(
        "--loses", choices=("yes", "no"), help="whether the server loses data; by default the seed says"
    )
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no further seed after so long")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes")
    parser.add_argument("-v", "--verbose", action="store_true", help="show the schedule of --seed")
    parser.add_argument(
        "--mutations", nargs="?", const="", metavar="WORDS", help="seek faults with these words in their names"
    )
    options = parser.parse_args()
    logging.getLogger("engine").setLevel(logging.CRITICAL)
    # So that a run that is ended leaves no server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    loses = None if options.loses is None else options.loses == "yes"
    chosen = [] if options.mutations is None else [known for known in ALL if options.mutations in known.name]
    if options.mutations is not None and not chosen:
        parser.error(f"no fault has {options.mutations!r} in its name")
    if options.seed is not None:
        return _one(options.seed, loses, chosen[0] if chosen else None, options.verbose)
    if chosen:
        return _seek(chosen, options.first, options.seeds or MUTATION_SEEDS, options.jobs)
    return _many(range(options.first, options.first + (options.seeds or 1000)), loses, options.jobs, options.minutes)


def _one(seed: int, loses: bool | None, mutation: Mutation | None, verbose: bool) -> int:
    if mutation is not None and mutation.loses is not None:
        loses = mutation.loses
    with ValkeyServer() as server:
        try:
            outcome = play(Plan.of(seed, loses=loses), str(server.socket), mutation, print if verbose else None)
        except Violation as violation:
            print(f"seed {seed}: {violation}")
            return 1
    print(f"seed {seed}: {outcome.scripts} scripts, {outcome.told} events told")
    return 0


def _many(seeds: range, loses: bool | None, jobs: int, minutes: float) -> int:
    began, played, scripts, told, failed, slowest_s = time.monotonic(), 0, 0, 0, 0, 0.0
    more = {None: "", True: " --loses yes", False: " --loses no"}[loses]
    with players(jobs) as play_each:
        for at in range(0, len(seeds), BATCH):
            if time.monotonic() - began > minutes * 60:
                break
            for seed, outcome in play_each(play_one, [(seed, loses) for seed in seeds[at : at + BATCH]]):
                played += 1
                if isinstance(outcome, Outcome):
                    scripts, told = scripts + outcome.scripts, told + outcome.told
                    slowest_s = max(slowest_s, outcome.recovery_s)
                    continue
                failed += 1
                print(
                    f"seed {seed}: {outcome}\n  replay: python -m tests.simulation --seed {seed}{more} -v", flush=True
                )
    print(
        f"{played} seeds{more}, {failed} failed; {scripts} scripts run, {told} events told, slowest recovery "
        f"{slowest_s:.1f} virtual s; {time.monotonic() - began:.1f} s"
    )
    return 1 if failed else 0


def _seek(chosen: list[Mutation], first: int, seeds: int, jobs: int) -> int:
    began, missed = time.monotonic(), 0
    print(f"{'fault':<64} {'seed':>6} {'tried':>6}  violation")
    with players(jobs) as seek_each:
        for found in seek_each(seek_one, [(mutation, first, seeds) for mutation in chosen]):
            missed += not found.violation
            shown = found.violation if len(found.violation) < 120 else found.violation[:117] + "..."
            seed = found.seed if found.violation else "-"
            print(f"{found.mutation.name:<64} {seed:>6} {found.tried:>6}  {shown or 'NOT FOUND'}", flush=True)
    print(f"{len(chosen)} faults, {missed} not found; {time.monotonic() - began:.1f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
