"""`python -m tests.stops`: planned stops under clients of the official libraries, and what they saw of each."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial

from tests.stops import full_house, scenes
from tests.stops.balancers import KINDS

#: Scenes of one node, with the library whose clients see them, and whether by TLS.
ONE_NODE = {
    "stop": ("pusher-js", False),
    "restart": ("pusher-js", False),
    "stop-echo": ("laravel-echo", False),
    "restart-echo": ("laravel-echo", False),
    "stop-pysher": ("pysher", False),
    "restart-pysher": ("pysher", False),
    "stop-tls": ("pusher-js", True),
    "restart-tls": ("pusher-js", True),
}
#: Clients of a full node, whatever `--clients` says.
FULL = 10_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stops", description=__doc__)
    parser.add_argument("--runs", type=int, default=1, help="rolling restarts behind each balancer (default: 1)")
    parser.add_argument("--clients", type=int, default=100, help="of each scene; a restart has five times as many")
    parser.add_argument(
        "--only", nargs="*", default=[], help=f"of: {', '.join((*ONE_NODE, 'all-at-once', 'stop-hung', *KINDS))}"
    )
    options = parser.parse_args()
    played: dict[str, Callable[[], str]] = {
        **{name: _one_node(name, options.clients) for name in ONE_NODE},
        "all-at-once": partial(full_house.all_at_once, FULL, 2),
        "stop-hung": partial(full_house.stop_with_everything_hung, FULL, 2),
        **{kind: partial(scenes.rolling, kind, options.clients, 2, options.runs) for kind in KINDS},
    }
    for name, play in played.items():
        if not options.only or name in options.only:
            load = os.getloadavg()[0] / (os.cpu_count() or 1)
            print(f"{name} (load {load:.1f} a core): {play()}", flush=True)
    return 0


def _one_node(name: str, clients: int) -> Callable[[], str]:
    library, tls = ONE_NODE[name]
    if name.startswith("stop"):
        return partial(scenes.stop_and_start, clients, 2, library, tls=tls)
    # Each client of Pysher is two threads.
    return partial(scenes.restart, clients if library == "pysher" else clients * 5, 2, library, tls=tls)


if __name__ == "__main__":
    sys.exit(main())
