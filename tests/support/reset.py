"""What the other end has done to a socket, seen without reading what waits there."""

from __future__ import annotations

import select


def is_reset(descriptor: int) -> bool:
    """Whether the other end has reset the connection; one that was closed behind what is unread is not."""
    poll = select.poll()
    # Errors are told of in any case.
    poll.register(descriptor, 0)
    return bool(poll.poll(0))
