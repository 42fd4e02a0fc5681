# What the bytes of a connection of publishes begin with.

from engine._fast.llhttp cimport Head
from engine._fast.publish_target cimport Target

# Too little to know, a whole publish, or anything else.
cdef enum Verdict:
    WAIT
    READY
    FOREIGN


cdef struct Request:
    Head head
    Target target
    Py_ssize_t head_bytes
    Py_ssize_t needs        # WAIT: bytes below which there is nothing to look at
    bint in_body            # WAIT: the head is complete, all but `needs` has been filled in


# Runs for each publish. :param prefix: of all targets, up to the application's id. :param max_body: longer ones are
# foreign. Touches no Python object but reads `prefix`.
cdef Verdict next_request(
    const char* data, Py_ssize_t size, bytes prefix, Py_ssize_t max_body, Request* request
) noexcept
