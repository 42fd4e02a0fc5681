"""When a child that has ended, or could not be started, is started again: soon at first, then later each time.

Starts nothing, and knows no process.
"""

from __future__ import annotations


class Respawn:
    """:param min_s: until the first time. :param max_s: no wait is longer, of which each is twice the one before.
    :param steady_s: whoever has lived longer has not failed at its start, and the waits begin anew.
    :ivar delay_s: the last wait.
    """

    def __init__(self, min_s: float, max_s: float, steady_s: float) -> None:
        self._min_s, self._max_s, self._steady_s = min_s, max_s, steady_s
        self._at = 0.0
        self.delay_s = min_s

    def due(self, now: float) -> bool:
        """Whether it is to be started. Times are of one clock, whichever."""
        return now >= self._at

    def ended(self, now: float, lived_s: float) -> None:
        """It ran for so long."""
        if lived_s > self._steady_s:
            self._wait(now, self._min_s)
        else:
            self.failed(now)

    def failed(self, now: float) -> None:
        """It could not be started."""
        self._wait(now, min(self.delay_s * 2, self._max_s))

    def _wait(self, now: float, delay_s: float) -> None:
        self.delay_s = delay_s
        self._at = now + delay_s
