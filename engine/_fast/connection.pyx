"""A client's connection: the loop delivers bytes here, the hub puts frames in, the loop turn writes them out.

Knows nothing of channels' rules or messages' meaning: text goes up to a handler, bytes come down finished.
"""

cimport cython
from picows.picows cimport WSFrame, WSMsgType

from engine._fast.clock cimport monotonic_s
from engine._fast.ending cimport end
from engine._fast.frame cimport close_frame, is_utf8, may_close_with, pong_frame
from engine._fast.outbox cimport outbox_clear, outbox_free, outbox_join, outbox_put, outbox_view
from engine._fast.parser cimport Parser, Parsers
from engine._fast.queues cimport FlushQueue

import logging

cdef extern from "sys/socket.h" nogil:
    ssize_t c_send "send"(int fd, const void* buffer, size_t length, int flags)
    int MSG_NOSIGNAL
    int MSG_DONTWAIT

cdef enum:
    NOT_CLOSED = 0
    NO_STATUS = 1005        # RFC 6455 section 7.1.5: a close frame without a code
    ABNORMAL = 1006         # ... no close frame at all
    PROTOCOL_ERROR = 1002
    INVALID_TEXT = 1007
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    OVER_CAPACITY = 4100

_log = logging.getLogger(__name__)


@cython.no_gc
cdef class Connection(Subscriber):
    """One WebSocket connection of one application; the protocol of its transport once the handshake is done.

    :param handler: gets `opened(connection)`; `message(connection, payload)`; `leaving(connection)` when it is decided
        that the connection ends, with `close_code` set, after which there are no more messages; and
        `closed(connection, code, reason)` when its socket is gone.
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
        self._end_code = ABNORMAL

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
        if self._parsers is None:
            return
        if self._put_off:
            # Under TLS what was read already still comes.
            data = data if self._unread is None else self._unread[self._unread_at:] + data
            self._unread, self._unread_at = data, 0
        else:
            self._read(data, 0)

    def eof_received(self):
        """It ends in its turn: thousands may go at once, and nobody waits for all of them."""
        self._put_off_end()
        # Under TLS the loop closes the transport whatever it is told.
        return self._fd >= 0

    def connection_lost(self, exc):
        if self._transport is None:
            return
        self._fd = -1
        outbox_clear(&self._outbox)
        self.traffic.connections -= 1
        self.traffic.closed += 1
        self._transport = self._parsers = self._unread = None
        if self._parser is not None:
            self._parser.give_up()
            self._parser = None
        self._put_off_end()

    def pause_writing(self):
        # The outbox watches the transport's buffer itself.
        self._buffered = True

    def resume_writing(self):
        pass

    # --- reading

    cdef int _read(self, bytes data, Py_ssize_t at) except -1:
        cdef Parsers parsers = self._parsers
        cdef Parser parser = self._parser
        if parser is None:
            parser = parsers.take()
        self._parser = None
        at = parser.feed(self, data, at)
        if parser.broken():
            if not self._gone:  # else it comes behind a close frame
                self._fail(parser.close_code(), parser.close_reason())
            parser.give_up()
        elif not parser.partial:
            parsers.give_back(parser)
        elif self._parsers is None:
            parser.give_up()
        else:
            self._parser = parser
        if self._parsers is not None and (self.stopped or at < len(data)):
            self._put_off_rest(data, at)
        return 0

    cdef int _put_off_rest(self, bytes data, Py_ssize_t at) except -1:
        """It has had its share of this turn of the loop, or of this second."""
        if self._transport.is_closing():
            return 0
        self._unread, self._unread_at = data if at < len(data) else None, at
        self._put_off = True
        self._transport.pause_reading()
        if self.stopped:
            self._flush_queue.reads.rest(self)
        else:
            self._flush_queue.reads.put_off(self)
        return 0

    cdef int _put_off_end(self) except -1:
        self._gone = True
        self._parsers = None
        self._flush_queue.reads.put_off(self)
        return 0

    cdef int go_on(self) except -1:
        if self._gone:
            return self._go()
        cdef bytes data = self._unread
        self._unread = None
        self._put_off = self.stopped = False
        self._frames = 0
        if self._parsers is None or self._transport.is_closing():
            return 0
        self._transport.resume_reading()
        if data is not None:
            self._read(data, self._unread_at)
        return 0

    cdef int _go(self) except -1:
        """Its client is gone, or has said that it goes; comes again when the socket is gone too."""
        cdef int code = self._end_code
        if self._transport is not None:
            if code != ABNORMAL:
                self._end(code, self._close_reason, close_frame(1000 if code == NO_STATUS else code, ""))
            self._leave(code, self._close_reason)
            if self._transport is not None:
                self._transport.close()
            return 0
        self._leave(code, self._close_reason)
        handler, self._handler = self._handler, None
        if handler is not None:
            try:
                handler.closed(self, self.close_code, self._close_reason)
            except Exception:
                _log.exception("connection %s: not forgotten", self.socket_id)
        return 0

    # --- called by the parser

    cdef int on_frame(self, WSFrame frame) except -1:
        cdef uint32_t now = monotonic_s()
        if self._parsers is None:
            return 0
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            return self._breach(PROTOCOL_ERROR, "Reserved bits without an extension")
        if frame.msg_type == WSMsgType.CLOSE:
            return self._on_close(frame)
        if self._closing:
            return 0
        self._frames = self._frames + 1 if now == self.last_activity else 1
        if self._frames == self._flush_queue.max_frames_per_second:
            self.stopped = True
        self.last_activity = now
        self.pinged = False
        self.traffic.received_bytes += frame.payload_size
        try:
            if frame.msg_type == WSMsgType.TEXT or frame.msg_type == WSMsgType.BINARY:
                if frame.fin and self._message is None:
                    self._on_message(frame.payload_ptr[:frame.payload_size], frame.msg_type == WSMsgType.TEXT)
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

    cdef int _on_message(self, bytes payload, bint is_text) except -1:
        if is_text and not is_utf8(payload):
            return self._breach(INVALID_TEXT, "Text that is not UTF-8")
        self.traffic.received_messages += 1
        self._handler.message(self, payload)
        return 0

    cdef int _on_fragment(self, WSFrame frame) except -1:
        if (self._message is None) == (frame.msg_type == WSMsgType.CONTINUATION):
            return self._breach(PROTOCOL_ERROR, "Fragments out of order")
        if self._message is None:
            self._message = bytearray()
            self._message_is_text = frame.msg_type == WSMsgType.TEXT
        if len(self._message) + <size_t>frame.payload_size > self._max_message_bytes:
            self._message = None
            self.close(TOO_BIG, "Message too big")
            return 0
        self._message += frame.payload_ptr[:frame.payload_size]
        if frame.fin:
            whole = bytes(self._message)
            self._message = None
            self._on_message(whole, self._message_is_text)
        return 0

    cdef int _on_close(self, WSFrame frame) except -1:
        cdef int code = NO_STATUS
        if frame.payload_size:
            code = <int>frame.get_close_code()
            if not may_close_with(code):
                return self._breach(PROTOCOL_ERROR, "Invalid close code")
        if self._closing:
            self._parsers = None
            self._transport.close()
            return 0
        self._end_code = code
        if frame.payload_size > 2:
            self._close_reason = frame.payload_ptr[2:frame.payload_size].decode("utf-8", "replace")
        return self._put_off_end()

    cdef int _breach(self, int code, str reason) except -1:
        """What has come breaks RFC 6455, which picows has not found."""
        self._parsers.breach(reason)
        return self._fail(code, reason)

    cdef int _fail(self, int code, str reason) except -1:
        """RFC 6455 section 7.1.7: say why, and read nothing more. The client closes the socket, or the deadline does."""
        self._parsers = None
        self.close(code, reason)
        if self._transport is not None and not self._transport.is_closing():
            if self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()
        return 0

    # --- called by the engine

    @property
    def close_reason(self) -> str:
        """What stands in the close frame; "" before."""
        return self._close_reason

    cpdef send(self, bytes frame):
        """Queue a finished frame for this connection only; it leaves at the end of the loop turn."""
        self.put(<PyObject*>frame)

    cpdef close(self, int code, str reason):
        """Send what is queued and a close frame. The socket ends when the client answers, or when the handler,
        which hears that the connection is leaving, ends it."""
        self._end(code, reason, close_frame(code, reason))

    cdef int fail(self) except -1:
        self.abort()
        return 0

    cpdef abort(self, bint forget=False):
        """End the socket now, unsent bytes and all. :param forget: whether the kernel is to forget the unread ones too."""
        if self._transport is not None:
            self._leave(ABNORMAL, "")
            end(self._transport, forget)

    def rest(self):
        """Read no more of what its client sends before the next second."""
        self.stopped = True

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

    cdef int _end(self, int code, str reason, bytes frame) except -1:
        if self._closing or self._transport is None:
            return 0
        outbox_put(&self._outbox, <PyObject*>frame)
        self._closing = True
        self.flush()
        return self._leave(code, reason)

    cdef int _leave(self, int code, str reason) except -1:
        """It is decided that the connection ends: it takes part in nothing from now on, whatever its client does."""
        if self.close_code != NOT_CLOSED:
            return 0
        self._closing = True
        self.close_code = code
        self._close_reason = reason
        try:
            self._handler.leaving(self)
        except Exception:
            _log.exception("connection %s: not left", self.socket_id)
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
        self._transport.write(close_frame(OVER_CAPACITY, "Slow consumer"))
        return self._leave(OVER_CAPACITY, "Slow consumer")
