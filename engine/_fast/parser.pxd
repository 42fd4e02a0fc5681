# picows' frame parser, lent to one connection after the other.

from picows.picows cimport WSFrame, WSListener, WSTransport


cdef class Reader:
    # Whom bytes arrive for: the base of a Connection.
    cdef object _transport          # the loop's; None once the socket is gone
    cdef int on_frame(self, WSFrame frame) except -1


cdef class Parser(WSListener):
    cdef object _get_buffer, _buffer_updated    # of the WSProtocol inside; None once it is given up
    cdef WSTransport _inner                     # what that one writes its close frames to, which leads to `reader`
    cdef Reader reader                          # whose bytes are being parsed
    cdef bint partial                           # holds the beginning of a frame
    cdef int feed(self, Reader reader, bytes data) except -1
    cdef bint broken(self) noexcept
    cdef int close_code(self) except -1
    cdef void give_up(self) noexcept


cdef class Parsers:
    cdef object _faults
    cdef size_t _max_frame_bytes
    cdef Parser _spare
    cdef Parser take(self)
    cdef int give_back(self, Parser parser) except -1
