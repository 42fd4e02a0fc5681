# One worker's hold on the log that the workers of a host share.

from libc.stdint cimport uint64_t

cdef enum:
    MAX = 64                # workers, as an interest is one word


cdef struct Desk:
    uint64_t asleep         # 1: to be woken through its eventfd
    uint64_t end            # bytes that its writer has ever taken from its arena, begun ones included
    uint64_t unused[6]


cdef struct Record:
    # A message where it lies, which its writer may write over at any time: copied first, then asked for by `is_whole`.
    const char* topic
    Py_ssize_t topic_size
    const char* message
    Py_ssize_t message_size
    uint64_t who, at


cdef class SharedLog:
    cdef object _map
    cdef unsigned char[::1] _view     # keeps the memory in place
    cdef int _waker_fds[MAX]
    cdef dict _wanted                 # hash of a topic -> topics wanted
    cdef uint64_t* _next_place
    cdef Desk* _desks
    cdef uint64_t* _interest
    cdef uint64_t* _places
    cdef char* _arenas
    cdef uint64_t _mask, _arena
    cdef int _me, _workers, _lap_shift
    cdef uint64_t _position           # number of the next place to read
    cdef uint64_t _announced_all_at, _since_announced_all
    cdef uint64_t _due                # workers to be woken for what was put in since the last time
    cdef readonly uint64_t missed

    # As `append`, of a message in two parts, but nobody is woken yet.
    cdef bint put(
        self, const char* topic, Py_ssize_t topic_size, const char* head, Py_ssize_t head_size, const char* rest,
        Py_ssize_t rest_size,
    ) noexcept
    # Wake who wants what was put in, once for all of it.
    cdef void wake_due(self) noexcept
    # The next message, if there is one. What is not wanted is passed over where it lies.
    cdef bint next(self, Record* found, bint wanted_only) noexcept
    # Whether what was copied is what was written; if not, it is missed.
    cdef bint is_whole(self, const Record* found) noexcept
    cdef void _show(self, uint64_t at) noexcept
    cdef void _skip(self) noexcept
