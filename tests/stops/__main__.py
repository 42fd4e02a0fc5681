"""`python -m tests.stops`: planned stops under real pusher-js clients, and what the clients saw of each."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial

from tests.stops import scenes
from tests.stops.balancers import KINDS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stops", description=__doc__)
    parser.add_argument("--runs", type=int, default=1, help="rolling restarts behind each balancer (default: 1)")
    parser.add_argument("--clients", type=int, default=100, help="of each scene; a restart has five times as many")
    parser.add_argument("--only", nargs="*", default=[], help=f"of: stop, restart, {', '.join(KINDS)}")
    options = parser.parse_args()
    played: dict[str, Callable[[], str]] = {
        "stop": partial(scenes.stop_and_start, options.clients, 2),
        "restart": partial(scenes.restart, options.clients * 5, 2),
        **{kind: partial(scenes.rolling, kind, options.clients, 2, options.runs) for kind in KINDS},
    }
    for name, play in played.items():
        if not options.only or name in options.only:
            load = os.getloadavg()[0] / (os.cpu_count() or 1)
            print(f"{name} (load {load:.1f} a core): {play()}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
