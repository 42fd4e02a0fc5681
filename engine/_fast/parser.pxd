# picows' frame parser, lent to one connection after the other.

cimport cython
from picows.picows cimport WSFrame, WSListener, WSTransport

from engine._fast.queues cimport Queued


@cython.no_gc
cdef class Reader(Queued):
    # Whom bytes arrive for: the base of a Connection.
    cdef object _transport          # the loop's; None once the socket is gone
    cdef bint stopped               # reads no more frames now
    cdef int on_frame(self, WSFrame frame) except -1


cdef class Parser(WSListener):
    cdef object _get_buffer, _buffer_updated    # of the WSProtocol inside; None once it is given up
    cdef WSTransport _inner                     # what that one writes its close frames to
    cdef Reader reader                          # whose bytes are being parsed
    cdef bint partial                           # holds the beginning of a frame
    cdef bint _ended                            # a frame has ended in the piece before
    cdef Py_ssize_t feed(self, Reader reader, bytes data, Py_ssize_t at) except -1
    cdef Py_ssize_t _feed(self, Reader reader, bytes data, Py_ssize_t at) except -1
    cdef Py_ssize_t _put(self, const char* source, Py_ssize_t size) except -1
    cdef bint broken(self) noexcept
    cdef int close_code(self) except -1
    cdef str close_reason(self)
    cdef void give_up(self) noexcept


cdef class Parsers:
    cdef object _faults
    cdef size_t _max_frame_bytes
    cdef Parser _spare
    cdef Parser take(self)
    cdef int breach(self, str what) except -1
    cdef int give_back(self, Parser parser) except -1
