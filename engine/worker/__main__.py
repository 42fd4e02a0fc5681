"""`python -m engine.worker`: how the supervisor starts a worker process; nobody else does."""

import sys

from engine.machine.collector import resting

with resting():
    from engine.worker.worker import main

sys.exit(main(sys.argv[1:]))
