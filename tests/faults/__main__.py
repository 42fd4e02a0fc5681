"""`make faults`: breaks one thing after another in a cluster of two nodes, while a crowd comes and goes and webhooks
are on, and prints the table of docs/reliability.md. Ends with 1 when a row is not ok.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence

from tests.chaos.cluster import Cluster
from tests.chaos.grounds import GROUNDS
from tests.chaos.judge import KEPT_LOGS
from tests.faults.endpoint import BadEndpoint
from tests.faults.grounds import BehindProxy, OnSmallDisk
from tests.faults.scenes import SCENES
from tests.faults.stage import SETTLE_MS, Scene, Stage

ALL = {**GROUNDS, "proxy": BehindProxy, "disk": OnSmallDisk}
HEAD = (
    *("fault", "promised", "events", "lost / missed / doubled / out of order", "wrong webhooks"),
    *("recovered, s", "others' p99, ms", "p99 before, ms", "verdict"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], metavar="WORDS", help="rows with one of these in their names")
    parser.add_argument("--on", nargs="*", default=sorted(ALL), choices=sorted(ALL), help="on these servers only")
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="play each row so many times, one after the other"
    )
    parser.add_argument("--list", action="store_true", help="names alone")
    options = parser.parse_args(arguments)
    chosen = [scene for scene in SCENES if scene.ground in options.on and _wanted(scene.name, options.only)]
    if options.list:
        print("\n".join(scene.name for scene in chosen))
        return 0
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    began, wrong, remarks = time.monotonic(), 0, list[str]()
    for ground in ALL:
        if scenes := [scene for scene in chosen if scene.ground == ground]:
            wrong += _play(ground, [scene for scene in scenes for _ in range(options.repeat)], remarks)
    print("", *remarks, sep="\n", flush=True)
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    print(f"\n{wrong} not ok; {time.monotonic() - began:.0f} s; load {load:.1f} a core", flush=True)
    return 1 if wrong else 0


def _wanted(name: str, words: Sequence[str]) -> bool:
    return not words or any(word in name for word in words)


def _play(ground: str, scenes: Sequence[Scene], remarks: list[str]) -> int:
    """How many rows are not ok. :param remarks: gets what is to be said besides."""
    bad, wrong = BadEndpoint(), 0
    bad.start()
    try:
        with Cluster(SETTLE_MS, ALL[ground](), also=[bad.url]) as cluster:
            stage = Stage(cluster, bad)
            for scene in scenes:
                row = asyncio.run(stage.play(scene))
                wrong += _show(row.cells(), bool(row.problems))
                remarks += stage.remarks
                stage.remarks.clear()
                if row.problems:
                    for node in cluster.nodes:
                        node.keep_log(KEPT_LOGS / "faults" / scene.name.replace(" ", "-").replace("/", "-"))
    finally:
        bad.stop()
    return wrong


def _show(cells: Sequence[str], wrong: bool) -> bool:
    print(f"| {' | '.join(cells)} |", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
