"""A growing buffer of bytes at whose front is always the next request.

Never looks into them.
"""

from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.string cimport memcpy, memmove

cdef enum:
    #: No more than this is taken on a client's word.
    MAX_EXPECTED = 262144
    #: One that grew beyond this gives its memory back when it is empty.
    KEEP = 65536


cdef int unread_put(Unread* unread, const char* data, Py_ssize_t size, Py_ssize_t expected) except -1:
    cdef Py_ssize_t capacity
    cdef char* grown
    if unread.size + size > unread.capacity:
        capacity = max(unread.capacity * 2, unread.size + size, min(expected, MAX_EXPECTED))
        grown = <char*>PyMem_Realloc(unread.data, <size_t>capacity)
        if grown == NULL:
            raise MemoryError
        unread.data, unread.capacity = grown, capacity
    memcpy(unread.data + unread.size, data, <size_t>size)
    unread.size += size
    return 0


cdef void unread_drop(Unread* unread, Py_ssize_t size) noexcept:
    if size:
        unread.size -= size
        memmove(unread.data, unread.data + size, <size_t>unread.size)
    if unread.size == 0 and unread.capacity > KEEP:
        unread_free(unread)


cdef void unread_free(Unread* unread) noexcept:
    PyMem_Free(unread.data)
    unread.data, unread.size, unread.capacity = NULL, 0, 0
