# What C sends to the other workers by a road that answers each message later.

from engine._fast.counting cimport Count, Sizes
from engine._fast.hub cimport Channel, Hub
from engine._fast.queues cimport Queued, ReadQueue
from engine._fast.recent_events cimport RecentEvents
from engine._fast.traffic cimport Traffic


# What is counted of one application's messages.
cdef class AwaitedCounts:
    cdef Count sent, taken, failed, lost
    cdef Sizes took_ms


# A request whose messages are under way.
cdef class Awaited:
    cdef int messages               # that were sent for it
    cdef int under_way              # one more than those until all are sent
    cdef Queued waiter              # goes on, in a later turn, when none is under way any more
    cdef ReadQueue later
    cdef object error               # why one of them was not taken; None
    cdef Traffic traffic
    cdef Sizes durations            # of requests, in seconds
    cdef Py_ssize_t body_bytes
    cdef long long began_ns
    cdef int note(self, object error) except -1
    # Whether all were taken; then it is counted.
    cdef bint end(self) except -1


# One message under way: a future, as far as the road knows.
cdef class AwaitedMessage:
    cdef AwaitedLink link
    cdef AwaitedCounts counts
    cdef Awaited request            # None: nobody waits, a client has sent it
    cdef str place                  # "app/channel"
    cdef bytes envelope
    cdef long long began_ns
    cdef bint _done


cdef class AwaitedLink:
    cdef Hub _hub
    cdef object _carry              # (topic, envelope, AwaitedMessage)
    cdef bytes _prefix              # of topics
    cdef bint _fallback
    cdef object _metrics
    cdef RecentEvents _recent
    cdef dict _counts               # app id -> AwaitedCounts
    cdef AwaitedCounts counts_of(self, str app_id)
    cdef int _deliver_here(self, AwaitedMessage message, bint may_be_taken) except -1
    # Send an event. :param request: what waits for it, or None. Never raises because of the road.
    cdef int send(
        self, AwaitedCounts counts, const char* place, Py_ssize_t size, bytes frame, const char* excluded,
        Py_ssize_t excluded_size, Awaited request
    ) except -1
