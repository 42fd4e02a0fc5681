# Which events have come lately, and which were delivered here without having come.

from libc.stdint cimport uint64_t

from engine._fast.envelope cimport Event
from engine._fast.hub cimport Channel


cdef class RecentEvents:
    cdef uint64_t* _come            # names of those that have come, the newest in place of the oldest
    cdef uint64_t _count            # that have come
    cdef set _index                 # of `_come`, as it was when so many had come:
    cdef uint64_t _indexed
    cdef dict _early                # names of those that were delivered here and may come yet, oldest first
    cdef long long _early_until_us  # none of them was published later than this
    # An event has come from Redis. Whether it is to be delivered: not if it was already.
    cdef bint is_news(self, Channel channel, const Event* event) except -1
    # One that Redis has not confirmed. Whether it is to be delivered: not if it has come all the same.
    cdef bint is_missing(self, Channel channel, const Event* event, bint may_come) except -1
