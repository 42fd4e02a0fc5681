# The clocks without a Python call.

from libc.stdint cimport uint32_t

# Whole seconds, coarse: a few nanoseconds a call, right to one tick of the kernel.
cpdef uint32_t monotonic_s() noexcept
cdef long long monotonic_ns() noexcept
cdef long long wall_us() noexcept
