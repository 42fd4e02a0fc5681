"""All faults, in the order in which they are sought.

Not among them is what only a Redis that somebody else wrote to can show (`drop_leftovers`, `max(before + ...)`: see
`test_redis_tampered.py`), and what takes so many seeds that a test of its own is better (`test_data_loss.py`).
"""

from __future__ import annotations

from tests.simulation.mutations.facts import FACTS
from tests.simulation.mutations.leading import LEADING
from tests.simulation.mutations.losing import LOSING
from tests.simulation.mutations.workers import WORKERS

ALL = (*LEADING, *FACTS, *WORKERS, *LOSING)
