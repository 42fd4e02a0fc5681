# The transport of one plain socket: what a Connection asks of the loop's, in a tenth of the memory.

from engine._fast.readable cimport Readable, Readers


cdef class PlainSockets:
    cdef readonly Readers readers
    cdef object _call_soon
    cdef int _first_kept            # nobody gets this descriptor, or a higher one


cdef class PlainSocket(Readable):
    cdef PlainSockets _sockets
    cdef object _protocol           # None when the socket is gone
    cdef object _error              # by which it is going; None where it is not the network's doing
    cdef bytearray _unsent          # what the kernel has not taken yet; or None
    cdef int _fd                    # -1 when it is closed
    cdef bint _resting              # nothing is read for now
    cdef bint _closing
    cdef bint _ended                # its peer has no more to say
    cdef bint _eof                  # nothing more is said to its peer
    cdef bint _lost                 # connection_lost is on its way

    # Runs for each piece that comes.
    cdef int _watch(self) except -1
    cdef int _go(self, error) except -1
    cdef ssize_t _send(self, const char* data, Py_ssize_t size) except -2
    cdef int _send_unsent(self) except -1
