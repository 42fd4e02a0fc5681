# One client socket on the server's side.

cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t
from picows.picows cimport WSFrame

from engine._fast.outbox cimport Outbox
from engine._fast.parser cimport Parser, Parsers
from engine._fast.queues cimport FlushQueue
from engine._fast.subscriber cimport Subscriber
from engine._fast.traffic cimport Traffic


@cython.no_gc
cdef class Connection(Subscriber):
    cdef readonly str socket_id
    cdef readonly Traffic traffic
    cdef public object app          # engine.app.App
    cdef public object state        # whatever ws/ keeps for this connection
    cdef public bint is_page        # a browser's: that answers WebSocket pings by itself, for pages that do not run too
    cdef object _handler            # opened(connection), message(connection, bytes), leaving(connection), closed(connection, …)
    cdef FlushQueue _flush_queue
    cdef Parsers _parsers           # None while nothing is read: before the handshake, and after the last frame
    cdef Parser _parser             # holds the beginning of a frame; else None
    cdef bytes _answer              # to the handshake, until it is written
    cdef Outbox _outbox
    cdef int _fd                    # -1 under TLS or when closed: every write goes through the transport
    cdef bint _dirty                # in the flush queue
    cdef bint _buffered             # the transport holds bytes that the kernel did not take
    cdef bint _closing              # a close frame was queued; nothing may follow it
    cdef bint _gone                 # its client is, or has said so: it ends in a turn of its own
    cdef int _end_code              # as its client has said
    cdef bint _put_off              # reading is paused, and goes on when the queue says so
    cdef bytes _unread              # what came and was not looked at yet, from _unread_at on; or None
    cdef Py_ssize_t _unread_at
    cdef uint32_t _frames           # that came in the second of last_activity
    cdef readonly bint pinged       # a pusher:ping is unanswered
    cdef readonly uint32_t last_activity  # seconds of the monotonic clock: last frame in, or the ping that we sent
    cdef readonly int close_code
    cdef str _close_reason
    cdef bytearray _message         # a fragmented message so far
    cdef bint _message_is_text
    cdef size_t _max_message_bytes

    # Runs for each subscriber of a publication.
    cdef int put(self, PyObject* frame) except -1
    cdef int _slow(self) except -1
    cdef int _put_answer_first(self) except -1
    cdef int _end(self, int code, str reason, bytes frame) except -1
    cdef int _leave(self, int code, str reason) except -1

    # Run for each frame and each piece that comes.
    cdef int _read(self, bytes data, Py_ssize_t at) except -1
    cdef int _put_off_rest(self, bytes data, Py_ssize_t at) except -1
    cdef int _put_off_end(self) except -1
    cdef int _go(self) except -1
    cdef int _breach(self, int code, str reason) except -1
    cdef int _fail(self, int code, str reason) except -1
    cdef int _on_message(self, bytes payload, bint is_text) except -1
    cdef int _on_fragment(self, WSFrame frame) except -1
    cdef int _on_close(self, WSFrame frame) except -1
    cpdef send(self, bytes frame)
    cpdef close(self, int code, str reason)
    cpdef abort(self, bint forget=*)
