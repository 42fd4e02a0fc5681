# Bytes of one connection that have come and are not done with. Embedded in its protocol; no object of its own.

cdef struct Unread:
    char* data
    Py_ssize_t size
    Py_ssize_t capacity

# Appends; grows by doubling, so that bytes that drip are not copied again and again. :param expected: how many there are
# going to be, as far as known. -1 only when memory is out.
cdef int unread_put(Unread* unread, const char* data, Py_ssize_t size, Py_ssize_t expected) except -1

# Forgets the first ones; the memory of a large one is given back when it is empty.
cdef void unread_drop(Unread* unread, Py_ssize_t size) noexcept
cdef void unread_free(Unread* unread) noexcept
