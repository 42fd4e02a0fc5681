"""A transport for plain sockets that the loop has accepted and somebody has taken from it: they are read by one epoll.

An idle one is two small objects instead of the loop's handle with its addresses and callbacks. It writes what the kernel
takes and keeps the rest. TLS stays with the loop's own transports; what the bytes mean is never looked at here.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from engine._fast.readable cimport IN, OUT, Readable, Readers

import asyncio

cdef extern from "sys/socket.h" nogil:
    ssize_t c_send "send"(int fd, const void* buffer, size_t length, int flags)
    ssize_t c_recv "recv"(int fd, void* buffer, size_t length, int flags)
    int c_shutdown "shutdown"(int fd, int how)
    int MSG_NOSIGNAL, MSG_DONTWAIT, SHUT_WR

cdef extern from "fcntl.h" nogil:
    int c_fcntl "fcntl"(int fd, int command, int least)
    int F_DUPFD_CLOEXEC

cdef extern from "unistd.h" nogil:
    int c_close "close"(int fd)

cdef extern from "errno.h" nogil:
    int errno
    int EAGAIN, EINTR, EWOULDBLOCK

cdef enum:
    #: Read of a socket at once.
    MAX_READ = 262144

#: What was read of a socket last; it is copied before the next one is read.
cdef char _input[MAX_READ]


@cython.final
cdef class PlainSockets:
    """Those of one worker. :param readers: watches them. :param call_soon: the loop's.
    :param first_kept: the first descriptor that is kept for others than clients."""

    def __init__(self, Readers readers not None, call_soon, int first_kept):
        self.readers = readers
        self._call_soon = call_soon
        self._first_kept = first_kept

    def stop(self):
        """To be called when they have ended."""
        self.readers.stop()

    def take(self, transport not None, protocol not None):
        """The socket of a transport that has nothing unsent, for a protocol; the transport is at its end, without a word
        to its peer. None when it cannot be taken: it speaks TLS, or there is no descriptor for a moment."""
        cdef PlainSocket made
        cdef int fd
        if transport.get_extra_info("ssl_object") is not None or transport.get_write_buffer_size():
            return None
        # The loop closes its own in its next turn: until then there are two.
        fd = c_fcntl(transport.get_extra_info("socket").fileno(), F_DUPFD_CLOEXEC, 0)
        if fd < 0:
            return None
        made = PlainSocket.__new__(PlainSocket)
        # From here on it is closed with its object.
        made._fd = fd
        if fd >= self._first_kept or not self.readers.watch_for(made, fd, IN):
            return None
        made._sockets, made._protocol = self, protocol
        transport.set_protocol(_NOBODY)
        # Reads nothing more from here on; what has not been read waits in the kernel.
        transport.abort()
        return made


class _Nobody(asyncio.Protocol):
    """Hears the end of a transport whose socket goes on."""


_NOBODY = _Nobody()


@cython.final
@cython.no_gc
cdef class PlainSocket(Readable):
    """asyncio.Transport, as far as a connection asks."""

    def __cinit__(self):
        self._fd = -1

    def __dealloc__(self):
        # Nobody has closed it: the worker is at its end.
        if self._fd >= 0:
            c_close(self._fd)

    # --- called by the epoll

    cdef int readable(self) except -1:
        cdef ssize_t size = c_recv(self._fd, _input, MAX_READ, MSG_DONTWAIT)
        if size > 0:
            self._protocol.data_received(PyBytes_FromStringAndSize(_input, size))
        elif size == 0:
            # It would be told of the end again and again.
            self._ended = True
            self._watch()
            if not self._protocol.eof_received():
                self.close()
        elif errno != EAGAIN and errno != EINTR:
            self._go(OSError(errno, "the socket cannot be read"))
        return 0

    cdef int writable(self) except -1:
        self._send_unsent()
        return 0

    cdef int fail(self) except -1:
        self.abort()
        return 0

    # --- asyncio.Transport

    def get_extra_info(self, name, default=None):
        return self if name == "socket" else default

    def fileno(self):
        return self._fd

    def set_protocol(self, protocol not None):
        self._protocol = protocol

    def is_closing(self):
        return self._closing

    def pause_reading(self):
        self._resting = True
        self._watch()

    def resume_reading(self):
        self._resting = False
        self._watch()

    def get_write_buffer_size(self):
        return 0 if self._unsent is None else len(self._unsent)

    def write(self, bytes data not None):
        cdef ssize_t sent
        if self._fd < 0 or self._lost:
            return
        if self._unsent is not None:
            self._unsent += data
            return
        sent = self._send(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        if 0 <= sent < PyBytes_GET_SIZE(data):
            self._unsent = bytearray(data[sent:])
            self._watch()

    def can_write_eof(self):
        return True

    def write_eof(self):
        """Say that nothing follows, behind what is unsent."""
        self._eof = True
        if self._unsent is None and self._fd >= 0:
            c_shutdown(self._fd, SHUT_WR)

    def close(self):
        """Read no more, and end the socket once all is sent."""
        if self._closing:
            return
        self._closing = True
        if self._unsent is None:
            self._go(None)
        else:
            self._watch()

    def abort(self):
        self._unsent = None
        self._go(None)

    # --- ways on

    cdef ssize_t _send(self, const char* data, Py_ssize_t size) except -2:
        """How many bytes the kernel took; -1 when the socket is at its end."""
        cdef ssize_t sent = c_send(self._fd, data, <size_t>size, MSG_NOSIGNAL | MSG_DONTWAIT)
        if sent >= 0:
            return sent
        if errno == EAGAIN or errno == EWOULDBLOCK or errno == EINTR:
            return 0
        self._go(OSError(errno, "the socket cannot be written to"))
        return -1

    cdef int _send_unsent(self) except -1:
        cdef char* start = self._unsent
        cdef ssize_t sent = self._send(start, len(self._unsent))
        if sent < 0:
            self._unsent = None
            return 0
        if sent < len(self._unsent):
            del self._unsent[:sent]
            return 0
        self._unsent = None
        if self._eof:
            c_shutdown(self._fd, SHUT_WR)
        if self._closing:
            self._go(None)
        else:
            self._watch()
        return 0

    cdef int _watch(self) except -1:
        """Be told of what is waited for now, and of nothing else."""
        cdef int wanted = 0
        if self._fd < 0 or self._lost:
            return 0
        if not self._resting and not self._closing and not self._ended:
            wanted |= IN
        if self._unsent is not None:
            wanted |= OUT
        if not self._sockets.readers.watch_for(self, self._fd, wanted):
            self._go(OSError("the socket cannot be watched"))
        return 0

    cdef int _go(self, error) except -1:
        """The socket is at its end; its protocol hears so in the next turn."""
        if self._lost:
            return 0
        self._lost = self._closing = True
        self._error = error
        self._sockets.readers.unwatch(self, self._fd)
        self._sockets._call_soon(self._gone)
        return 0

    def _gone(self):
        cdef int fd = self._fd
        protocol, self._protocol = self._protocol, None
        error, self._error = self._error, None
        try:
            # The descriptor is the connection's until it has heard.
            protocol.connection_lost(error)
        finally:
            self._fd = -1
            c_close(fd)
