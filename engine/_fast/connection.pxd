# One client socket on the server's side, and the loop turn's list of sockets that have something to write.

from cpython.object cimport PyObject
from libc.stdint cimport uint32_t
from picows.picows cimport WSFrame

from engine._fast.outbox cimport Outbox
from engine._fast.parser cimport Parser, Parsers
from engine._fast.subscriber cimport Subscriber
from engine._fast.traffic cimport Traffic


cdef class FlushQueue:
    # The connections touched since the last flush (owned references), flushed once at the end of the loop turn.
    cdef PyObject** _dirty
    cdef Py_ssize_t _count, _capacity
    cdef object _call_soon
    cdef object _flush_callback
    cdef bint _scheduled
    cdef readonly long long slow_consumers
    cdef readonly size_t max_waiting_bytes
    cdef int push(self, Connection connection) except -1
    cpdef flush(self)


cdef class Connection(Subscriber):
    cdef readonly str socket_id
    cdef readonly Traffic traffic
    cdef public object app          # engine.app.App
    cdef public object state        # whatever ws/ keeps for this connection
    cdef object _handler            # opened(connection), message(connection, bytes), closed(connection, code, reason)
    cdef FlushQueue _flush_queue
    cdef Parsers _parsers           # None before the handshake, and after a frame that breaks RFC 6455
    cdef Parser _parser             # holds the beginning of a frame; else None
    cdef bytes _answer              # to the handshake, until it is written
    cdef Outbox _outbox
    cdef int _fd                    # -1 under TLS or when closed: every write goes through the transport
    cdef bint _dirty                # in the flush queue
    cdef bint _buffered             # the transport holds bytes that the kernel did not take
    cdef bint _closing              # a close frame was queued; nothing may follow it
    cdef readonly bint pinged       # a pusher:ping is unanswered
    cdef readonly uint32_t last_activity  # seconds of the monotonic clock: last frame in, or the ping / close we sent
    cdef readonly int close_code
    cdef str _close_reason
    cdef bytearray _message         # a fragmented message so far
    cdef size_t _max_message_bytes

    # Runs for each subscriber of a publication.
    cdef int put(self, PyObject* frame) except -1
    cdef int flush(self) except -1
    cdef int _slow(self) except -1
    cdef int _put_answer_first(self) except -1
    cdef int _on_message(self, bytes payload) except -1
    cdef int _on_fragment(self, WSFrame frame) except -1
    cdef int _on_close(self, WSFrame frame) except -1
    cpdef send(self, bytes frame)
    cpdef close(self, int code, str reason)
    cpdef abort(self)
