"""picows' frame parser, lent to whichever connection has bytes to read.

A parser between two frames remembers nothing, so one serves all connections of a worker. Only a connection that is in
the middle of a frame keeps one, until the rest has come: an idle connection has neither parser nor read buffer.
"""

cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcpy
from picows.picows cimport WSFrame, WSListener, WSTransport

from engine._fast.clock cimport monotonic_ns
from engine._fast.queues cimport Queued

from picows import WSUpgradeResponse, WSUpgradeResponseWithListener
from picows.picows import WSAutoPingStrategy, WSProtocol

cdef enum:
    #: picows' read buffer; it grows for longer messages.
    READ_BUFFER_BYTES = 2048
    #: Bytes between two looks at the clock: few enough for a piece full of the smallest frames, more while no frame ends.
    PIECE_BYTES = 256
    #: What one connection may have read in a turn of the loop.
    TURN_NS = 250000

#: What takes a new picows protocol to the state in which it reads frames. Nobody sees the answer.
_UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: parser\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@cython.no_gc
cdef class Reader(Queued):
    """What a parser reads for. :ivar stopped: it wants no more now."""

    cdef int on_frame(self, WSFrame frame) except -1:
        raise NotImplementedError


cdef class Parser(WSListener):
    """One picows protocol, and both of its sides: the listener that gets its frames, and the transport it writes to."""

    def __init__(self, size_t max_frame_bytes, faults):
        protocol = WSProtocol(
            host_port=None,
            ws_path=None,
            is_client_side=False,
            ws_listener_factory=lambda request: WSUpgradeResponseWithListener(
                WSUpgradeResponse.create_101_response(), self
            ),
            logger=faults,
            disconnect_on_exception=True,
            websocket_handshake_timeout=None,
            enable_auto_ping=False,
            auto_ping_idle_timeout=0,
            auto_ping_reply_timeout=0,
            auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
            enable_auto_pong=False,  # pings are answered by Connection, in order with everything else
            max_frame_size=max_frame_bytes,
            extra_headers=None,
            read_buffer_init_size=READ_BUFFER_BYTES,
        )
        protocol.connection_made(self)
        self._get_buffer = protocol.get_buffer
        self._buffer_updated = protocol.buffer_updated
        self._put(_UPGRADE, len(_UPGRADE))
        self.partial = False

    cdef Py_ssize_t feed(self, Reader reader, bytes data, Py_ssize_t at) except -1:
        """Parse what has come for a reader, which gets the frames. After an error it is given up.

        :param at: how many of the bytes were parsed before. :return: how many are now: all, unless the reader has had
            its turn, has stopped, or has sent what breaks RFC 6455.
        """
        self.reader = reader
        try:
            return self._feed(reader, data, at)
        except BaseException:
            self.give_up()
            raise

    cdef Py_ssize_t _feed(self, Reader reader, bytes data, Py_ssize_t at) except -1:
        cdef const char* source = PyBytes_AS_STRING(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data), piece = PIECE_BYTES
        cdef long long deadline = 0
        while True:
            self._ended = False
            # A frame says otherwise, if it comes and nothing is behind it.
            self.partial = True
            at += self._put(source + at, min(piece, size - at))
            if at == size or reader.stopped or self.broken():
                return at
            if deadline == 0:
                deadline = monotonic_ns() + TURN_NS
            elif monotonic_ns() > deadline:
                return at
            piece = PIECE_BYTES if self._ended else piece * 2

    cdef Py_ssize_t _put(self, const char* source, Py_ssize_t size) except -1:
        cdef Py_buffer space
        PyObject_GetBuffer(self._get_buffer(size), &space, PyBUF_WRITABLE)
        size = min(space.len, size)
        memcpy(space.buf, source, <size_t>size)
        PyBuffer_Release(&space)
        self._buffer_updated(size)
        return size

    cdef bint broken(self) noexcept:
        """Whether picows wants to answer a frame that breaks RFC 6455 with a close frame."""
        return self._inner is not None and self._inner.is_close_frame_sent

    cdef int close_code(self) except -1:
        return <int>self._inner.close_handshake.sent.code

    cdef str close_reason(self):
        return self._inner.close_handshake.sent.reason or ""

    cdef void give_up(self) noexcept:
        """Will not be used again: let go of the reader, and of the protocol, which holds on to this object."""
        self.reader = None
        self._inner = None
        self._get_buffer = None
        self._buffer_updated = None

    # --- the listener

    cpdef on_ws_connected(self, WSTransport transport):
        self._inner = transport

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        self.partial = frame.tail_size > 0
        self._ended = True
        self.reader.on_frame(frame)

    # --- the transport, and its socket: what picows would say, and when it would close, is for the connection to do

    def get_extra_info(self, name, default=None):
        # With TLS picows leaves the socket alone and writes to the transport.
        return self if name in ("socket", "ssl_object") else default

    def write(self, _):
        """Said by the connection, in order with everything else."""

    def get_write_buffer_size(self):
        return 0

    def close(self):
        """Done by the connection."""

    def fileno(self):
        return -1

    def setsockopt(self, *_):
        """There is no socket."""

    def getsockopt(self, *_):
        return 0


cdef class Parsers:
    """Lends parsers; one is enough unless a connection is in the middle of a frame.

    :param max_frame_bytes: longer frames are answered with close code 1009.
    :param faults: as picows' logger; gets a line for every frame that breaks RFC 6455.
    """

    def __init__(self, size_t max_frame_bytes, faults):
        self._max_frame_bytes = max_frame_bytes
        self._faults = faults

    cdef Parser take(self):
        cdef Parser parser = self._spare
        if parser is None:
            return Parser(self._max_frame_bytes, self._faults)
        self._spare = None
        return parser

    cdef int breach(self, str what) except -1:
        """Count a frame that breaks RFC 6455 and that picows lets pass."""
        self._faults.error(what)
        return 0

    cdef int give_back(self, Parser parser) except -1:
        """Between two frames only."""
        parser.reader = None
        if parser._inner.close_handshake is not None:
            parser._inner.close_handshake = None    # the last reader's
        if self._spare is None:
            self._spare = parser
        else:
            parser.give_up()
        return 0
