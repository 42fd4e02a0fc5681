"""The clocks for code that runs once a frame.

Waits and deadlines are for the monotonic ones; the time of day only says how old something of another process is.
"""

from libc.stdint cimport uint32_t

cdef extern from "time.h" nogil:
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec* out)
    int CLOCK_MONOTONIC
    int CLOCK_MONOTONIC_COARSE
    int CLOCK_REALTIME


cpdef uint32_t monotonic_s() noexcept:
    """Whole seconds of the coarse monotonic clock."""
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now)
    return <uint32_t>now.tv_sec


cdef long long monotonic_ns() noexcept:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <long long>now.tv_sec * 1000000000 + now.tv_nsec


cdef long long wall_us() noexcept:
    """Microseconds since the epoch."""
    cdef timespec now
    clock_gettime(CLOCK_REALTIME, &now)
    return <long long>now.tv_sec * 1000000 + now.tv_nsec // 1000
