# One socket of HTTP, the base of what serves it.

from libc.stdint cimport uint32_t

from engine._fast.readable cimport Readable, Readers


cdef class HttpSocket(Readable):
    cdef Readers _readers
    cdef object _transport           # None when the connection is lost or another's
    cdef int _fd                     # -1 under TLS: everything goes through the transport
    cdef bint _used                  # bytes have come before
    cdef bint _own                   # it reads its socket itself, if it reads
    cdef bint _reading, _eof
    cdef bint _buffered              # the transport has something to write
    cdef uint32_t _ended_at          # monotonic seconds when the socket was closed; 0 before

    # Bytes have come; they are gone when it returns.
    cdef int _received(self, const char* start, Py_ssize_t size) except -1
    cdef int _write(self, const char* data, Py_ssize_t size) except -1
    cdef int _end(self) except -1
    cdef int _read_on(self, bint reading) except -1
    cdef int _unwatch(self) except -1
