"""Which workers are suspected dead: for how long each heartbeat was seen to stand still.

Counts only time in which this process was observing. Compares no clock with another's: when Redis hung or was restored
from disk, every heartbeat looks old, though no worker died; and a machine's clock may step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

#: Between two looks at most this share of the time-out counts: looks must be more frequent than that, and a gap in
#: them, in which heartbeats could not be noted either, condemns nobody.
MAX_STEP = 0.25


class FailureDetector:
    """:param clock: seconds that only grow, such as `time.monotonic`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._looked_at = clock()
        #: incarnation -> (heartbeat as last seen, seconds for which it has been the same)
        self._seen: dict[str, tuple[float, float]] = {}

    def suspects(self, beats: Mapping[str, float], timeout_s: float) -> list[str]:
        """Incarnations that left (a heartbeat of 0), or whose heartbeat has not moved for `timeout_s` of observed time.

        :param beats: incarnation -> its last heartbeat, for all that are known."""
        now = self._clock()
        step_s = min(now - self._looked_at, timeout_s * MAX_STEP)
        self._looked_at = now
        self._seen = {
            name: (beat, self._seen[name][1] + step_s if name in self._seen and self._seen[name][0] == beat else 0.0)
            for name, beat in beats.items()
        }
        return [name for name, (beat, silent_s) in self._seen.items() if beat == 0 or silent_s >= timeout_s]
