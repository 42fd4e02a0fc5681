"""A client's connection: picows delivers frames here, the hub puts frames in, the loop turn writes them out.

Knows nothing of channels' rules or messages' meaning: text goes up to a handler, bytes come down finished.
"""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport errno
from picows.picows cimport MemoryBuffer, WSFrame, WSListener, WSMsgType, WSTransport

from engine._fast.clock cimport monotonic_ns, monotonic_s
from engine._fast.facade cimport Facade
from engine._fast.frame cimport close_frame, pong_frame
from engine._fast.outbox cimport outbox_clear, outbox_free, outbox_join, outbox_put, outbox_view

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
    #: Channels of one connection beyond which its places are looked up in a dict instead of one after the other.
    LINEAR_SLOTS = 16
    NOT_CLOSED = 0
    NO_STATUS = 1005        # RFC 6455 section 7.1.5: a close frame without a code
    ABNORMAL = 1006         # ... no close frame at all
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    OVER_CAPACITY = 4100

_log = logging.getLogger(__name__)


class Ended:
    """Stands for the future of an end that nobody waits for."""

    @staticmethod
    def done():
        return True


@cython.final
cdef class Turn:
    """Collects the connections that have something to write and flushes them once, at the end of the loop turn.

    :param call_soon: the loop's `call_soon`.
    :param max_waiting_bytes: a connection with more than this unsent in its transport is cut off (4100).
    """

    def __init__(self, call_soon, size_t max_waiting_bytes):
        self._call_soon = call_soon
        self._flush_callback = self.flush
        self.max_waiting_bytes = max_waiting_bytes
        self.write_buffer = MemoryBuffer(1024)
        self.ended = Ended()

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


cdef class Connection(WSListener):
    """One WebSocket connection of one application.

    :param handler: gets `opened(connection)`, `message(connection, payload)`, `closed(connection, code, reason)`.
    :param max_message_bytes: longer messages, whole or in fragments, are answered with close code 1009.
    """

    def __init__(self, str socket_id not None, app, Traffic traffic not None, handler, Turn turn not None,
                 size_t max_message_bytes):
        self.socket_id = socket_id
        self.app = app
        self.traffic = traffic
        self._handler = handler
        self._turn = turn
        self._max_message_bytes = max_message_bytes
        self._fd = -1
        self._close_reason = ""

    def __dealloc__(self):
        cdef uint32_t i
        outbox_free(&self._outbox)
        for i in range(self.slot_count):
            Py_DECREF(<object>self.slots[i].channel)
        PyMem_Free(self.slots)

    # --- called by picows

    cpdef on_ws_connected(self, WSTransport transport):
        self._transport = transport
        self._slim(transport)
        self._buffered = <size_t>transport.underlying_transport.get_write_buffer_size() > 0
        if not transport.is_secure:
            self._fd = transport._socket
        self.last_activity = monotonic_s()
        self.traffic.connections += 1
        self.traffic.opened += 1
        self._handler.opened(self)

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        self.last_activity = monotonic_s()
        self.pinged = False
        self.traffic.received_bytes += frame.payload_size
        if frame.msg_type == WSMsgType.CLOSE:
            self._on_close(frame)
            return
        if self._closing:
            return
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

    cpdef on_ws_disconnected(self, WSTransport transport):
        self._fd = -1
        self._closing = True
        outbox_clear(&self._outbox)
        self.traffic.connections -= 1
        self.traffic.closed += 1
        if self.close_code == NOT_CLOSED:
            # picows itself closes on frames that break RFC 6455, and on those that are too big.
            ours = transport.close_handshake.sent if transport.close_handshake is not None else None
            self.close_code = <int>ours.code if ours is not None else ABNORMAL
        self._handler.closed(self, self.close_code, self._close_reason)
        self._transport = None
        self._handler = None

    cpdef pause_writing(self):
        # The outbox watches the transport's buffer itself.
        self._buffered = True

    cpdef resume_writing(self):
        pass

    def _on_message(self, bytes payload):
        self.traffic.received_messages += 1
        self._handler.message(self, payload)

    def _on_fragment(self, WSFrame frame):
        if (self._message is None) == (frame.msg_type == WSMsgType.CONTINUATION):
            self.close(1002, "Fragments out of order")
            return
        if self._message is None:
            self._message = bytearray()
        if len(self._message) + <size_t>frame.payload_size > self._max_message_bytes:
            self._message = None
            self.close(TOO_BIG, "Message too big")
            return
        self._message += frame.payload_ptr[:frame.payload_size]
        if frame.fin:
            whole = bytes(self._message)
            self._message = None
            self._on_message(whole)

    def _on_close(self, WSFrame frame):
        code = <int>frame.get_close_code()
        if self.close_code == NOT_CLOSED:
            self.close_code = code if code else NO_STATUS
            self._close_reason = frame.get_close_message().decode("utf-8", "replace") if frame.payload_size > 2 else ""
        if not self._closing:
            self.send(close_frame(code if code else 1000, ""))
            self._closing = True
            self.flush()
        self._transport.underlying_transport.close()

    cdef int _slim(self, WSTransport transport) except -1:
        """Let go of what picows keeps for uses that the engine does not make of it: half of a connection's memory."""
        cdef Facade facade
        if isinstance(transport.underlying_transport, Facade):
            facade = <Facade>transport.underlying_transport
            transport.underlying_transport = facade.transport
            transport._tr_write = facade.transport.write
            transport._tr_get_write_buffer_size = facade.transport.get_write_buffer_size
        # Read by ws/accept already.
        transport.request = None
        transport.response = None
        # Frames are built and written by the outbox; picows itself only writes a rare close frame, at once.
        transport._write_buffer = self._turn.write_buffer
        # Nobody waits for the end of a server's connection, or measures its round trips.
        transport.disconnected_future = self._turn.ended
        transport.listener_proxy = None
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
            self._transport.underlying_transport.abort()

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
            self._turn.push(self)
        return 0

    cdef int flush(self) except -1:
        cdef const char* view
        cdef ssize_t sent = 0
        cdef size_t size = self._outbox.size
        if self._outbox.count == 0:
            return 0
        if self._transport is None or self._transport.is_close_frame_sent:
            outbox_clear(&self._outbox)
            return 0
        self.traffic.sent_messages += self._outbox.count
        self.traffic.sent_bytes += <long long>size
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
        transport = self._transport.underlying_transport
        transport.write(rest)
        waiting = <size_t>transport.get_write_buffer_size()
        self._buffered = waiting > 0
        if waiting > self._turn.max_waiting_bytes:
            self._slow()
        return 0

    cdef int _slow(self) except -1:
        """The client does not read: say so behind what it has not read yet, and leave the rest to the sweep."""
        if self._closing:
            return 0
        self._turn.slow_consumers += 1
        self._closing = True
        self.close_code = OVER_CAPACITY
        self._close_reason = "Slow consumer"
        self.last_activity = monotonic_s()
        self._transport.underlying_transport.write(close_frame(OVER_CAPACITY, self._close_reason))
        return 0

    # --- places in channels, kept by the hub

    cdef int find_slot(self, object channel) except -2:
        cdef uint32_t i
        if self._slot_of is not None:
            found = self._slot_of.get(channel)
            return -1 if found is None else <int>found
        for i in range(self.slot_count):
            if self.slots[i].channel == <PyObject*>channel:
                return <int>i
        return -1

    cdef int add_slot(self, object channel, uint32_t index) except -1:
        cdef uint32_t capacity, i
        cdef Slot* slots
        if self.slot_count == self.slot_capacity:
            capacity = self.slot_capacity * 2 if self.slot_capacity else 2
            slots = <Slot*>PyMem_Realloc(self.slots, capacity * sizeof(Slot))
            if slots == NULL:
                raise MemoryError
            self.slots = slots
            self.slot_capacity = capacity
        Py_INCREF(channel)
        self.slots[self.slot_count].channel = <PyObject*>channel
        self.slots[self.slot_count].index = index
        self.slot_count += 1
        if self._slot_of is not None:
            self._slot_of[channel] = self.slot_count - 1
        elif self.slot_count > LINEAR_SLOTS:
            self._slot_of = {}
            for i in range(self.slot_count):
                self._slot_of[<object>self.slots[i].channel] = i
        return 0

    cdef int remove_slot(self, uint32_t slot) except -1:
        cdef object channel = <object>self.slots[slot].channel
        cdef uint32_t last = self.slot_count - 1
        if self._slot_of is not None:
            del self._slot_of[channel]
        if slot != last:
            self.slots[slot] = self.slots[last]
            if self._slot_of is not None:
                self._slot_of[<object>self.slots[slot].channel] = slot
        self.slot_count = last
        Py_DECREF(channel)
        return 0

    @property
    def channel_count(self) -> int:
        """Channels this connection is subscribed to, the user's own included."""
        return self.slot_count
