"""`python -m tests.tls_breaks --minutes 60`: an endpoint breaks off TLS all the time; figures, and 1 for any fault."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.tls_breaks.show import play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tls_breaks", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="how long")
    parser.add_argument("--clients", type=int, default=500, help="clients that must notice nothing")
    parser.add_argument("--rate", type=float, default=50, help="breaks per second")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seen = play(
            Path(folder),
            clients=options.clients,
            rate=options.rate,
            seconds=options.minutes * 60,
            publish_every_s=1.0,
        )
    print(seen)
    return 1 if seen.faults else 0


if __name__ == "__main__":
    sys.exit(main())
