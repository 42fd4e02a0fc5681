"""Which events have come lately from Redis, and which were delivered here without having come, so that none is heard twice.

When a connection that publishes breaks, nobody says whether Redis has taken what was under way. A worker delivers it to
its own subscribers; but what was taken comes back to it like any event, before it knows of the break or after. Here that
is found out: an event goes by its time, which is its own among those of one worker, by its channel, its size and some
of its bytes. Never reads a frame.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from engine._fast.envelope cimport Event, find_event
from engine._fast.hub cimport Channel

cdef enum:
    #: Of either kind. A power of two; those that come in 3 s, at 20,000 a second.
    KEPT = 65536


@cython.final
cdef class RecentEvents:
    def __cinit__(self):
        # Pages that are never written to take no memory.
        self._come = <uint64_t*>calloc(KEPT, sizeof(uint64_t))
        if self._come == NULL:
            raise MemoryError

    def __init__(self):
        self._index, self._early = set(), {}

    def __dealloc__(self):
        free(self._come)

    cdef bint is_news(self, Channel channel, const Event* event) except -1:
        cdef uint64_t name = name_of(channel, event)
        # As good as never: not even in an outage, of what is published after it.
        if event.began_us <= self._early_until_us and self._early.pop(name, None) is not None:
            return False
        self._come[self._count % KEPT] = name
        self._count += 1
        return True

    cdef bint is_missing(self, Channel channel, const Event* event, bint may_come) except -1:
        cdef uint64_t name = name_of(channel, event), i
        if self._indexed != self._count:
            # Once for all that a broken connection had under way.
            self._index = {self._come[i] for i in range(min(self._count, <uint64_t>KEPT))}
            self._indexed = self._count
        if name in self._index:
            return False
        if may_come:
            if len(self._early) == KEPT:
                del self._early[next(iter(self._early))]
            self._early[name] = True
            self._early_until_us = max(self._early_until_us, event.began_us)
        return True

    def hear(self, Channel channel not None, bytes envelope not None) -> bool:
        """`is_news` of any envelope: True where it is no event."""
        cdef Event event
        if not find_event(PyBytes_AS_STRING(envelope), PyBytes_GET_SIZE(envelope), &event):
            return True
        return self.is_news(channel, &event)

    def miss(self, Channel channel not None, bytes envelope not None, bint may_come) -> bool:
        """`is_missing` of any envelope."""
        cdef Event event
        if not find_event(PyBytes_AS_STRING(envelope), PyBytes_GET_SIZE(envelope), &event):
            return True
        return self.is_missing(channel, &event, may_come)


cdef uint64_t name_of(Channel channel, const Event* event) noexcept:
    """Of different events it is different, unless two workers publish two in the same microsecond that also agree in
    size and in the bytes that are looked at: where the payload is, and at its end, where counters and ids mostly are."""
    cdef uint64_t name = <uint64_t>event.began_us * <uint64_t>0x9E3779B97F4A7C15
    cdef uint64_t words[3]
    name ^= <uint64_t><size_t><void*>channel * <uint64_t>0xC2B2AE3D27D4EB4F
    name ^= <uint64_t>event.frame_size
    if event.frame_size >= 24:
        memcpy(words, event.frame + event.frame_size // 2 - 4, 8)
        memcpy(words + 1, event.frame + event.frame_size - 16, 16)
        name = (name ^ words[0]) * <uint64_t>0x9E3779B97F4A7C15
        name = (name ^ words[1]) * <uint64_t>0xC2B2AE3D27D4EB4F
        name = (name ^ words[2]) * <uint64_t>0x9E3779B97F4A7C15
    return name
