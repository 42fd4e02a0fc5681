# What travels between workers, as C looks at it.

from libc.stdint cimport uint64_t

from engine._fast.hub cimport Channel, Hub

cdef enum:
    EVENT = 1
    #: Bytes of the time at which an event was published.
    TIME = 8

# The envelope of an event that is published now. :param a: bytes of the excluded socket's id, at most 255.
cdef bytes event_envelope(const char* excluded, Py_ssize_t a, bytes frame)
cdef uint64_t read_u64(const unsigned char* data) noexcept
cdef void write_u64(unsigned char* out, uint64_t number) noexcept
# Whether these bytes are exactly one unmasked, final text frame (RFC 6455 section 5.2).
cdef bint is_text_frame(const unsigned char* data, Py_ssize_t size) noexcept


# An event that is whole, where it lies.
cdef struct Event:
    const char* excluded        # the id of the socket that it passes over
    Py_ssize_t excluded_size    # 0: none
    const char* frame
    Py_ssize_t frame_size
    long long began_us          # when it was published

# Whether these bytes are the envelope of an event; a kept one is another kind.
cdef bint find_event(const char* envelope, Py_ssize_t size, Event* event) noexcept
# Hand it to the channel's subscribers here.
cdef int deliver(Hub hub, Channel channel, const Event* event) except -1
