"""`make fuzz`: feeds a target by coverage (atheris, libFuzzer) for as long as it is told to.

Runs on modules of `engine/_fast` that were built with sanitizers, where there are such; what reaches new places is
written to a folder, and of that `--keep` keeps the smallest inputs that together reach as much.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

import atheris

#: Python's modules whose branches are followed.
PURE = ["engine.protocol", "engine.config", "engine.webhooks.filter", "engine.redis.pubsub", "engine.worker.listener"]
PURE += ["engine.http", "engine.publisher"]

with atheris.instrument_imports(include=PURE, enable_loader_override=False):
    from tests.fuzz.targets import TARGETS, corpus, keep

MAX_BYTES = 400
#: Inputs of a target that are kept with the source.
MAX_KEPT = 150


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz/found"))
    parser.add_argument("--keep", action="store_true", help="only keep what earlier runs have found")
    options = parser.parse_args()
    found = options.folder / options.target
    found.mkdir(parents=True, exist_ok=True)
    if options.keep:
        inputs = sorted({each.read_bytes() for each in found.iterdir()} | {*corpus(options.target)}, key=len)
        keep(options.target, inputs[:MAX_KEPT])
        return
    for number, each in enumerate(corpus(options.target)):
        (found / f"kept-{number}").write_bytes(each)
    flags = [f"-max_len={MAX_BYTES}", f"-max_total_time={int(options.minutes * 60)}", "-timeout=60", "-rss_limit_mb=0"]
    flags += ["-detect_leaks=0", f"-artifact_prefix={options.folder}/{options.target}-", "-print_final_stats=1"]

    async def run() -> None:
        atheris.Setup([sys.argv[0], *flags, str(found)], TARGETS[options.target]())
        atheris.Fuzz()

    asyncio.run(run())


if __name__ == "__main__":
    main()
