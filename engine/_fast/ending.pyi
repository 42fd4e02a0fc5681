"""The end of a socket; what its client has not read may go with it."""

import asyncio

def end(transport: asyncio.Transport, forget: bool) -> None:
    """Abort a transport. :param forget: whether the kernel forgets what its client has not read, and tells it so."""
