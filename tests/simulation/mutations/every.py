"""All faults, in the order in which they are sought."""

from __future__ import annotations

from tests.simulation.mutations.facts import FACTS
from tests.simulation.mutations.leading import LEADING
from tests.simulation.mutations.losing import LOSING
from tests.simulation.mutations.workers import WORKERS

ALL = (*LEADING, *FACTS, *WORKERS, *LOSING)
