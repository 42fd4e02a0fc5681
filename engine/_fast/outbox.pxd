# Frames waiting on one socket until the end of the loop turn. Embedded in a Connection; no object of its own.

from cpython.object cimport PyObject

cdef struct Outbox:
    PyObject** frames   # owned references to bytes
    unsigned int count
    unsigned int capacity
    size_t size         # bytes in all frames together

# Runs for each subscriber of a publication: appends a reference, copies nothing. -1 only when memory is out.
cdef int outbox_put(Outbox* box, PyObject* frame) except -1

# What is waiting as one piece: the only frame itself, or all of them joined in a scratch buffer (valid until the
# next call) when they fit. NULL when they do not: use outbox_join.
cdef const char* outbox_view(Outbox* box) noexcept

# What is waiting from byte `skip` on, as an object of its own.
cdef bytes outbox_join(Outbox* box, size_t skip)

# Forgets everything; memory of a large outbox is given back.
cdef void outbox_clear(Outbox* box) noexcept
cdef void outbox_free(Outbox* box) noexcept
