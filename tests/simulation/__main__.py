"""`python -m tests.simulation --seed N -v` plays one seed and shows its schedule; without a seed, many are played."""

from __future__ import annotations

import argparse
import logging
import sys
import time

from tests.simulation.judge import play
from tests.simulation.lives import Violation
from tests.simulation.plan import Plan
from tests.support.valkey import ValkeyServer


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one alone")
    parser.add_argument("--first", type=int, default=0, help="first of many seeds")
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--loses", choices=("yes", "no"), help="whether the server loses data now and then")
    parser.add_argument("-v", "--verbose", action="store_true", help="show the schedule")
    options = parser.parse_args()
    logging.getLogger("engine").setLevel(logging.CRITICAL)
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    began, scripts, told, slowest_s = time.monotonic(), 0, 0, 0.0
    loses = None if options.loses is None else options.loses == "yes"
    more = "" if options.loses is None else f" --loses {options.loses}"
    failed = []
    with ValkeyServer() as server:
        for seed in seeds:
            try:
                outcome = play(Plan.of(seed, loses=loses), str(server.socket), say=print if options.verbose else None)
            except Violation as violation:
                failed.append(seed)
                print(
                    f"seed {seed}: {violation}\n  replay: python -m tests.simulation --seed {seed}{more} -v", flush=True
                )
                continue
            scripts, told = scripts + outcome.scripts, told + outcome.told
            slowest_s = max(slowest_s, outcome.recovery_s)
    print(
        f"{len(seeds)} seeds, {len(failed)} failed; {scripts} scripts run, {told} events told, slowest recovery "
        f"{slowest_s:.1f} virtual s; {time.monotonic() - began:.1f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
