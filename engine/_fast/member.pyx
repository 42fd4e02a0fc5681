"""One subscription to a presence channel, as all parts of a worker know it.

A record and nothing else; what it means that a member is in a channel is decided in occupancy/ and ws/.
"""

cimport cython


@cython.final
@cython.no_gc
@cython.dataclasses.dataclass(frozen=True)
cdef class Member:
    """Who a presence subscription is, with what the webhook and the other members hear.

    It holds no more than text, so that the garbage collector need not look at it, however many there are.

    :param limit: members the channel may have.
    :param since_us: when it was authorised, in microseconds since the epoch.
    """

    user_id: str
    user_info: str = ""
    socket_id: str = ""
    data: str = ""
    limit: int = 0
    since_us: int = 0
