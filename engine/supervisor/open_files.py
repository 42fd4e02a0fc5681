"""How many descriptors each process may have: as many as the hard limit lets it, since a connection takes one.

Never fails: with less than it asks for the engine serves fewer.
"""

from __future__ import annotations

import resource

#: Below this a page of visitors of some size does not fit.
FEW = 4096


def raise_limit() -> int:
    """Raise this process' soft limit, which its children inherit, to the hard one; what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            # A sandbox may forbid it.
            return soft
    return hard
