"""Whether this worker can do its work now. Set by those who know, asked by /ready, /up and the heartbeat."""

from __future__ import annotations


class Health:
    """Reasons why not, by who gave them; none is ready."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {"worker": "starting"}
        #: Set once and for good when the worker begins to drain.
        self.draining = False

    def well(self, who: str) -> None:
        self._reasons.pop(who, None)

    def ill(self, who: str, reason: str) -> None:
        self._reasons[who] = reason

    def ready(self) -> tuple[bool, str]:
        """(ready, why not)."""
        if self.draining:
            return False, "draining"
        return not self._reasons, "; ".join(self._reasons.values())
