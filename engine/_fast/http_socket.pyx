"""One socket of HTTP: how its bytes come and go, past the transport where that can be.

The transport owns it, writes what the kernel does not take at once, and does everything under TLS. What the bytes mean is
never looked at here.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from engine._fast.clock cimport monotonic_s

cdef extern from "sys/socket.h" nogil:
    ssize_t c_send "send"(int fd, const void* buffer, size_t length, int flags)
    ssize_t c_recv "recv"(int fd, void* buffer, size_t length, int flags)
    int MSG_NOSIGNAL
    int MSG_DONTWAIT

cdef extern from "errno.h" nogil:
    int errno
    int EAGAIN, EINTR

cdef enum:
    #: Read of a socket at once.
    MAX_READ = 262144

#: What was read of a socket last; whatever is to be kept is copied before the next one is read.
cdef char _input[MAX_READ]


cdef class HttpSocket(Readable):
    """:param readers: watches it when more than one piece has come."""

    def __init__(self, Readers readers not None):
        self._readers = readers
        self._fd = -1
        self._reading = True

    cdef int _received(self, const char* start, Py_ssize_t size) except -1:
        raise NotImplementedError

    def eof_received(self):
        raise NotImplementedError

    def abort(self):
        raise NotImplementedError

    def connection_made(self, transport):
        self._transport = transport
        if transport.get_extra_info("ssl_object") is None:
            sock = transport.get_extra_info("socket")
            self._fd = -1 if sock is None else sock.fileno()

    def data_received(self, bytes data not None):
        if self._used and self._fd >= 0 and self._reading and not self._own and self._transport is not None:
            # Most connections carry one publish or very many: only the latter are worth more calls of the kernel.
            self._own = self._readers.watch(self, self._fd)
            if self._own:
                self._transport.pause_reading()
        self._used = True
        self._received(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    cdef int readable(self) except -1:
        cdef ssize_t size = c_recv(self._fd, _input, MAX_READ, MSG_DONTWAIT)
        if size > 0:
            self._received(_input, size)
        elif size == 0:
            self._unwatch()
            if not self.eof_received():
                self._transport.close()
        elif errno != EAGAIN and errno != EINTR:
            self.abort()
        return 0

    cdef int _write(self, const char* data, Py_ssize_t size) except -1:
        """To the kernel at once if it takes it, which saves the transport's own bookkeeping."""
        cdef Py_ssize_t sent = 0
        if self._transport is None:
            return 0
        if self._buffered and self._transport.get_write_buffer_size() == 0:
            self._buffered = False
        if self._fd >= 0 and not self._buffered:
            sent = max(0, c_send(self._fd, data, <size_t>size, MSG_NOSIGNAL | MSG_DONTWAIT))
            if sent == size:
                return 0
        # A connection that is gone is found out by the transport too.
        self._buffered = True
        self._transport.write((data + sent)[:size - sent])
        return 0

    cdef int _end(self) except -1:
        """Close the socket; what its client does not read of its answers does not keep it for long."""
        if self._ended_at == 0:
            self._ended_at = monotonic_s() or 1
        self._unwatch()
        self._transport.close()
        return 0

    cdef int _read_on(self, bint reading) except -1:
        if self._transport is not None and reading != self._reading:
            self._reading = reading
            if not self._own:
                if reading:
                    self._transport.resume_reading()
                else:
                    self._transport.pause_reading()
            elif not reading:
                self._unwatch()
            elif self._fd >= 0 and not self._eof and self._ended_at == 0:
                if not self._readers.watch(self, self._fd):
                    self.abort()
        return 0

    cdef int _unwatch(self) except -1:
        if self.watched:
            self._readers.unwatch(self, self._fd)
        return 0
