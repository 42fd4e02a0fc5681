"""What is kept for one connection beside its socket: as little as possible, since most connections are idle.

Containers are made when something is put in and given back when the last is taken out; only the methods here know. Never
decides what is put in.
"""

cimport cython
from libc.stdint cimport uint32_t

from enum import Enum, auto


class Stage(Enum):
    """How far a connection has come; it only ever goes on, from any stage to a later one."""

    #: The connections of its address are being counted.
    CHECKING_ADDRESS = auto()
    #: The connections of its app are being counted, in the whole cluster.
    COUNTING = auto()
    #: The client has got `connection_established`.
    ADMITTED = auto()
    #: It was accepted only to send it the reason of its refusal (C-6).
    REFUSED = auto()
    #: It was left: it is in no channel and gets nothing any more; its socket may still be there.
    CLOSED = auto()


# By name of their own: before Python 3.12, finding a member by its class costs more than handling a message does.
CHECKING_ADDRESS = Stage.CHECKING_ADDRESS
COUNTING = Stage.COUNTING
ADMITTED = Stage.ADMITTED
REFUSED = Stage.REFUSED
CLOSED = Stage.CLOSED


@cython.final
@cython.no_gc
cdef class ConnectionState:
    """Mutable state of one connection.

    :param refusal: why it is refused, when that is known from its request. :ivar stage: how far it has come.
    :ivar address: where it comes from, until it is admitted; None on a Unix socket.
    :ivar held_by: the same as long as it is one of that address's, when it is limited how many it may hold.
    :ivar on_counted: by what it is admitted, while its app's connections are counted.
    :ivar counted: it is one of the app's connections that the cluster has counted, or is about to.
    :ivar authorized: it has signed in or joined an authorised channel; that it left since does not count (U-7).
    :ivar event_window_s: a second, and :ivar event_count: client events in it, for the limit of E-8.
    :ivar messages: the window of the app's limit of messages, and how many there were in it.
    :ivar errors: the same of its messages that were answered with an error.
    :ivar joins_until_s: until when its joins would have taken had each come as late as it may (monotonic).
    :ivar full_at: the limit of channels that it was found to be at, and has not left since.
    :ivar early: messages that came before the connection was admitted, in order (C-13).
    """

    cdef public object stage, refusal, address, held_by, on_counted, user, messages, errors, early
    cdef dict _members, _joining
    cdef public double joins_until_s
    cdef public uint32_t event_window_s, event_count, full_at
    cdef public bint counted, authorized

    def __init__(self, refusal=None):
        self.stage = CHECKING_ADDRESS if refusal is None else REFUSED
        self.refusal = refusal

    def keep_early(self, bytes payload not None, Py_ssize_t limit) -> bool:
        """Whether there was room for it."""
        if self.early is None:
            self.early = []
        if len(self.early) >= limit:
            return False
        self.early.append(payload)
        return True

    # --- subscriptions on their way

    def joining(self):
        """Channels that were asked for and not acknowledged yet."""
        return self._joining or ()

    @property
    def joining_count(self) -> int:
        return len(self._joining) if self._joining is not None else 0

    def is_joining(self, str channel) -> bool:
        return self._joining is not None and channel in self._joining

    def remember_joining(self, str channel, joining):
        if self._joining is None:
            self._joining = {}
        self._joining[channel] = joining

    def pop_joining(self, str channel):
        if self._joining is None:
            return None
        joining = self._joining.pop(channel, None)
        if not self._joining:
            self._joining = None
        return joining

    def take_joining(self):
        """All of them; none is left."""
        joining, self._joining = self._joining, None
        return joining.values() if joining is not None else ()

    # --- presence channels it is in, and as which member

    def member(self, str channel):
        return self._members.get(channel) if self._members is not None else None

    def remember_member(self, str channel, member):
        if self._members is None:
            self._members = {}
        self._members[channel] = member

    def pop_member(self, str channel):
        if self._members is None:
            return None
        member = self._members.pop(channel, None)
        if not self._members:
            self._members = None
        return member
