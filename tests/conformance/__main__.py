"""``python -m tests.conformance``: plays the whole table and prints it, on the engine or on any server given by URL."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from tests.conformance.play import NotAsExpected, Target, main_app, play_async, why_skipped
from tests.conformance.rule import Rule
from tests.conformance.table import ELSEWHERE, SECTIONS
from tests.conformance.topologies import TOPOLOGIES, started
from tests.support.node import NodeJs, missing

#: Rules at one time; each has names of its own, so they do not see each other.
AT_ONCE = 8
OK, FAILED, FREE, SKIPPED = "ok", "FAILED", "differs", "-"
WORDS_WIDTH = 72


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    rows = [each for rules in SECTIONS.values() for each in rules if args.rule in (None, each.id)]
    if args.url:
        with ExitStack() as stack:
            node = None if missing() else stack.enter_context(NodeJs())
            apps = main_app(args.app_id, args.key, args.secret)
            given = Target("given", (args.url.rstrip("/"),), apps, True, frozenset(args.has), node, missing())
            return _print(["given"], [asyncio.run(_play_all(given, rows))], args.rule)
    results = []
    for topology in TOPOLOGIES:
        with started(topology) as target:
            results.append(asyncio.run(_play_all(target, rows, patient=topology == TOPOLOGIES[0])))
    return _print(list(TOPOLOGIES), results, args.rule)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--url", help="a server to ask instead, such as http://127.0.0.1:6001")
    parser.add_argument("--app-id", default="app-id")
    parser.add_argument("--key", default="app-key")
    parser.add_argument("--secret", default="app-secret")
    needed = sorted(
        {part for rules in SECTIONS.values() for each in rules for part in each.needs.split(" and ")} - {""}
    )
    parser.add_argument(
        "--with", dest="has", action="append", default=[], choices=needed, help="what it is configured for"
    )
    parser.add_argument("--rule", metavar="ID", help="only the rows of this rule, such as C-10")
    return parser


#: Number of the row -> result, and why.
Results = dict[int, tuple[str, str]]


async def _play_all(target: Target, rows: list[Rule], *, patient: bool = True) -> Results:
    """:param patient: whether to play rows that wait for half a minute."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(row: Rule) -> tuple[str, str]:
        if reason := why_skipped(row, target):
            return SKIPPED, reason
        if row.slow and not patient:
            return SKIPPED, f"takes long; played with {TOPOLOGIES[0]} only"
        async with limit:
            try:
                await play_async(row, target)
            except NotAsExpected as problem:
                return (FREE if row.free and target.foreign else FAILED), str(problem)
        return OK, ""

    return dict(enumerate(await asyncio.gather(*map(one, rows))))


def _print(names: list[str], results: list[Results], only: str | None) -> int:
    """The table, the reasons below it, and a count; returns the exit status."""
    heads = "  ".join(f"{name:10}" for name in names)
    number, notes = 0, []
    for section, rules in SECTIONS.items():
        rows = [each for each in rules if only in (None, each.id)]
        if rows:
            print(f"\n{section:{WORDS_WIDTH + 8}}{heads}")
        for row in rows:
            outcomes = [result[number] for result in results]
            number += 1
            print(
                f"{row.id:6}  {row.words[:WORDS_WIDTH]:{WORDS_WIDTH}}" + "  ".join(f"{word:10}" for word, _ in outcomes)
            )
            told = {reason: word for word, reason in outcomes if reason}
            notes += [f"{word:7}  {row.id}, {row.words}: {reason}" for reason, word in told.items()]
    if notes:
        print("\n" + "\n".join(notes))
    counts = {name: [outcome[0] for outcome in result.values()] for name, result in zip(names, results, strict=True)}
    print()
    for name, words in counts.items():
        print(f"{name}: " + ", ".join(f"{words.count(word)} {told}" for word, told in _TOLD.items() if word in words))
    if only is None:
        print(f"{len(ELSEWHERE)} rules of docs/protocol.md have no row; tests/conformance/table.py says why")
    return 1 if any(FAILED in words for words in counts.values()) else 0


_TOLD = {OK: "hold", FAILED: "fail", FREE: "differ where servers may", SKIPPED: "skipped"}

if __name__ == "__main__":
    sys.exit(main())
