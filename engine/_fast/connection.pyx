"""A client's connection: the loop delivers bytes here, the hub puts frames in, the loop turn writes them out.

Knows nothing of channels' rules or messages' meaning: text goes up to a handler, bytes come down finished.
"""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from picows.picows cimport WSFrame, WSMsgType

from engine._fast.clock cimport monotonic_ns, monotonic_s
from engine._fast.frame cimport close_frame, pong_frame
from engine._fast.outbox cimport outbox_clear, outbox_free, outbox_join, outbox_put, outbox_view
from engine._fast.parser cimport Parser, Parsers
from engine._fast.subscriber cimport Subscriber

import logging

cdef extern from "sys/socket.h" nogil:
    ssize_t c_send "send"(int fd, const void* buffer, size_t length, int flags)
    int MSG_NOSIGNAL
    int MSG_DONTWAIT

cdef enum:
    #: A flush that has written for this long lets the loop breathe; pings, timers and the lease must not wait for
    #: one huge channel. Checked every FLUSH_CHECK sockets.
    FLUSH_BUDGET_NS = 4000000
    FLUSH_CHECK = 64
    NOT_CLOSED = 0
    NO_STATUS = 1005        # RFC 6455 section 7.1.5: a close frame without a code
    ABNORMAL = 1006         # ... no close frame at all
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    OVER_CAPACITY = 4100

_log = logging.getLogger(__name__)


@cython.final
cdef class FlushQueue:
    """Collects the connections that have something to write and flushes them once, at the end of the loop turn.

    :param call_soon: the loop's `call_soon`.
    :param max_waiting_bytes: a connection with more than this unsent in its transport is cut off (4100).
    """

    def __init__(self, call_soon, size_t max_waiting_bytes):
        self._call_soon = call_soon
        self._flush_callback = self.flush
        self.max_waiting_bytes = max_waiting_bytes

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self._count):
            Py_DECREF(<object>self._dirty[i])
        PyMem_Free(self._dirty)

    cdef int push(self, Connection connection) except -1:
        cdef Py_ssize_t capacity
        cdef PyObject** dirty
        if self._count == self._capacity:
            capacity = self._capacity * 2 if self._capacity else 64
            dirty = <PyObject**>PyMem_Realloc(self._dirty, capacity * sizeof(PyObject*))
            if dirty == NULL:
                raise MemoryError
            self._dirty = dirty
            self._capacity = capacity
        Py_INCREF(connection)
        self._dirty[self._count] = <PyObject*>connection
        self._count += 1
        connection._dirty = True
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._flush_callback)
        return 0

    cpdef flush(self):
        """Write what is due to every touched connection; yields to the loop when that takes long."""
        cdef long long deadline = monotonic_ns() + FLUSH_BUDGET_NS
        cdef Py_ssize_t done = 0, rest
        cdef Connection connection
        while done < self._count:
            connection = <Connection>self._dirty[done]
            Py_DECREF(connection)
            done += 1
            connection._dirty = False
            connection.flush()
            if done % FLUSH_CHECK == 0 and done < self._count and monotonic_ns() > deadline:
                break
        rest = self._count - done
        for i in range(rest):
            self._dirty[i] = self._dirty[done + i]
        self._count = rest
        self._scheduled = rest > 0
        if rest:
            self._call_soon(self._flush_callback)


cdef class Connection(Subscriber):
    """One WebSocket connection of one application; the protocol of its transport once the handshake is done.

    :param handler: gets `opened(connection)`, `message(connection, payload)`, `closed(connection, code, reason)`.
    :param max_message_bytes: longer messages, whole or in fragments, are answered with close code 1009.
    """

    def __init__(self, str socket_id not None, app, Traffic traffic not None, handler, FlushQueue flush_queue not None,
                 size_t max_message_bytes):
        self.socket_id = socket_id
        self.app = app
        self.traffic = traffic
        self._handler = handler
        self._flush_queue = flush_queue
        self._max_message_bytes = max_message_bytes
        self._fd = -1
        self._close_reason = ""

    def __dealloc__(self):
        outbox_free(&self._outbox)

    # --- called by the upgrade

    def open(self, transport not None, Parsers parsers not None, bytes answer not None):
        """Take over a transport. :param answer: to the handshake; it leaves in one write with the first frames."""
        self._transport = transport
        self._parsers = parsers
        self._answer = answer
        self._buffered = <size_t>transport.get_write_buffer_size() > 0
        if transport.get_extra_info("ssl_object") is None:
            self._fd = transport.get_extra_info("socket").fileno()
        self.last_activity = monotonic_s()
        self.traffic.connections += 1
        self.traffic.opened += 1
        self._flush_queue.push(self)
        try:
            self._handler.opened(self)
        except Exception:
            _log.exception("connection %s: not opened", self.socket_id)
            self.close(INTERNAL_ERROR, "Internal error")

    # --- called by the loop

    def data_received(self, bytes data not None):
        cdef Parser parser = self._parser
        if self._parsers is None:
            return
        if self._answer is not None:
            self.flush()  # picows may have to write a close frame, at once
        if parser is None:
            parser = self._parsers.take()
        self._parser = None
        parser.feed(self, data)
        if parser.broken():
            # picows has said why. The parser stays with the delayed call by which picows will close the transport.
            self._parsers = None
            self._closing = True
            outbox_clear(&self._outbox)
            if self.close_code == NOT_CLOSED:
                self.close_code = parser.close_code()
        elif parser.partial and self._transport is not None:
            self._parser = parser
        elif parser.partial:
            parser.give_up()
        else:
            self._parsers.give_back(parser)

    def eof_received(self):
        """The loop closes the transport."""
        return False

    def connection_lost(self, exc):
        if self._transport is None:
            return
        self._fd = -1
        self._closing = True
        outbox_clear(&self._outbox)
        self.traffic.connections -= 1
        self.traffic.closed += 1
        if self.close_code == NOT_CLOSED:
            self.close_code = ABNORMAL
        self._transport = None
        if self._parser is not None:
            self._parser.give_up()
            self._parser = None
        handler, self._handler = self._handler, None
        try:
            handler.closed(self, self.close_code, self._close_reason)
        except Exception:
            _log.exception("connection %s: not forgotten", self.socket_id)

    def pause_writing(self):
        # The outbox watches the transport's buffer itself.
        self._buffered = True

    def resume_writing(self):
        pass

    # --- called by the parser

    cdef int on_frame(self, WSFrame frame) except -1:
        self.last_activity = monotonic_s()
        self.pinged = False
        self.traffic.received_bytes += frame.payload_size
        if frame.msg_type == WSMsgType.CLOSE:
            self._on_close(frame)
            return 0
        if self._closing:
            return 0
        try:
            if frame.msg_type == WSMsgType.TEXT or frame.msg_type == WSMsgType.BINARY:
                if frame.fin and self._message is None:
                    self._on_message(frame.payload_ptr[:frame.payload_size])
                else:
                    self._on_fragment(frame)
            elif frame.msg_type == WSMsgType.CONTINUATION:
                self._on_fragment(frame)
            elif frame.msg_type == WSMsgType.PING:
                self.send(pong_frame(frame.payload_ptr[:frame.payload_size]))
        except Exception:
            # A fault of ours, never the client's: whatever a client can send has its own answer in the handler.
            _log.exception("connection %s: message not handled", self.socket_id)
            self.close(INTERNAL_ERROR, "Internal error")
        return 0

    cdef int _on_message(self, bytes payload) except -1:
        self.traffic.received_messages += 1
        self._handler.message(self, payload)
        return 0

    cdef int _on_fragment(self, WSFrame frame) except -1:
        if (self._message is None) == (frame.msg_type == WSMsgType.CONTINUATION):
            self.close(1002, "Fragments out of order")
            return 0
        if self._message is None:
            self._message = bytearray()
        if len(self._message) + <size_t>frame.payload_size > self._max_message_bytes:
            self._message = None
            self.close(TOO_BIG, "Message too big")
            return 0
        self._message += frame.payload_ptr[:frame.payload_size]
        if frame.fin:
            whole = bytes(self._message)
            self._message = None
            self._on_message(whole)
        return 0

    cdef int _on_close(self, WSFrame frame) except -1:
        code = <int>frame.get_close_code()
        if self.close_code == NOT_CLOSED:
            self.close_code = code if code else NO_STATUS
            self._close_reason = frame.get_close_message().decode("utf-8", "replace") if frame.payload_size > 2 else ""
        if not self._closing:
            self.send(close_frame(code if code else 1000, ""))
            self._closing = True
            self.flush()
        if self._transport is not None:
            self._transport.close()
        return 0

    # --- called by the engine

    cpdef send(self, bytes frame):
        """Queue a finished frame for this connection only; it leaves at the end of the loop turn."""
        self.put(<PyObject*>frame)

    cpdef close(self, int code, str reason):
        """Send what is queued and a close frame. The socket ends when the client answers, or when the sweep ends it."""
        if self._closing or self._transport is None:
            return
        frame = close_frame(code, reason)
        outbox_put(&self._outbox, <PyObject*>frame)
        self._closing = True
        self.close_code = code
        self._close_reason = reason
        self.last_activity = monotonic_s()
        self.flush()

    cpdef abort(self):
        """End the socket now, unsent bytes and all."""
        if self._transport is not None:
            self._closing = True
            self._transport.abort()

    @property
    def closing(self) -> bool:
        """A close frame was queued or the socket is gone."""
        return self._closing

    def ping(self, bytes frame not None):
        """Send a pusher:ping and wait for any sign of life from now on."""
        self.pinged = True
        self.last_activity = monotonic_s()
        self.send(frame)

    cdef int put(self, PyObject* frame) except -1:
        if self._closing:
            return 0
        outbox_put(&self._outbox, frame)
        if not self._dirty:
            self._flush_queue.push(self)
        return 0

    cdef int flush(self) except -1:
        cdef const char* view
        cdef ssize_t sent = 0
        cdef size_t size
        if self._outbox.count == 0 and self._answer is None:
            return 0
        if self._transport is None:
            outbox_clear(&self._outbox)
            return 0
        self.traffic.sent_messages += self._outbox.count
        self.traffic.sent_bytes += <long long>self._outbox.size
        if self._answer is not None:
            self._put_answer_first()
        size = self._outbox.size
        if self._fd >= 0 and not self._buffered:
            view = outbox_view(&self._outbox)
            if view != NULL:
                # The transport keeps the descriptor open until on_ws_disconnected has returned, so it is ours here.
                sent = c_send(self._fd, view, size, MSG_NOSIGNAL | MSG_DONTWAIT)
                if sent == <ssize_t>size:
                    outbox_clear(&self._outbox)
                    return 0
                if sent < 0:
                    # Full (EAGAIN), or broken: then the transport's own write finds out and ends the connection.
                    sent = 0
        rest = outbox_join(&self._outbox, <size_t>sent)
        outbox_clear(&self._outbox)
        self._transport.write(rest)
        waiting = <size_t>self._transport.get_write_buffer_size()
        self._buffered = waiting > 0
        if waiting > self._flush_queue.max_waiting_bytes:
            self._slow()
        return 0

    cdef int _put_answer_first(self) except -1:
        first = self._answer + outbox_join(&self._outbox, 0)
        self._answer = None
        outbox_clear(&self._outbox)
        outbox_put(&self._outbox, <PyObject*>first)
        return 0

    cdef int _slow(self) except -1:
        """The client does not read: say so behind what it has not read yet, and leave the rest to the sweep."""
        if self._closing:
            return 0
        self._flush_queue.slow_consumers += 1
        self._closing = True
        self.close_code = OVER_CAPACITY
        self._close_reason = "Slow consumer"
        self.last_activity = monotonic_s()
        self._transport.write(close_frame(OVER_CAPACITY, self._close_reason))
        return 0
