"""Who asks the console for a change, for the line that its log keeps of it.

Names and addresses only: no secret, no payload.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar

#: The address from which the request under way comes.
caller: ContextVar[str] = ContextVar("caller", default="")

_log = logging.getLogger(__name__)


def audit(change: str) -> None:
    """Log a change that was made."""
    _log.info("%s, asked by %s", change, caller.get() or "?")
