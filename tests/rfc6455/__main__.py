"""`make rfc6455`: plays every case against an engine, or ``--url ws://host:port/app/key``, and prints a table."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

from tests.rfc6455.cases import CASES
from tests.rfc6455.play import play
from tests.support.engine import APP, running


@contextlib.contextmanager
def _target(url: str | None) -> Iterator[tuple[str, int, str]]:
    if url is not None:
        parts = urlsplit(url)
        yield parts.hostname or "127.0.0.1", parts.port or 80, parts.path.rpartition("/")[2]
        return
    with running({}) as engine:
        yield "127.0.0.1", engine.port, APP["key"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.rfc6455", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--url", help="another server of the Pusher protocol, with the key of an application")
    args = parser.parse_args()
    wrong = 0
    with _target(args.url) as (host, port, key):
        print("| RFC 6455 | case | result |\n|---|---|---|")
        for case in CASES:
            problem = play(case, host, port, key)
            wrong += bool(problem)
            print(f"| {case.section} | {case.what} | {problem or 'as it must be'} |")
    print(f"\n{len(CASES) - wrong} of {len(CASES)} as they must be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
