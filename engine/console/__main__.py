"""`python -m engine.console`: how the supervisor starts the console's process; nobody else does."""

import sys

from engine.machine.collector import resting

with resting():
    from engine.console.console import main

sys.exit(main(sys.argv[1:]))
