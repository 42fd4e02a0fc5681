# One client socket on the server's side, and the loop turn's list of sockets that have something to write.

from cpython.object cimport PyObject
from libc.stdint cimport uint32_t, uint64_t
from picows.picows cimport MemoryBuffer, WSFrame, WSListener, WSTransport

from engine._fast.outbox cimport Outbox
from engine._fast.traffic cimport Traffic


cdef class Turn:
    # The connections touched since the last flush (owned references), flushed once at the end of the loop turn.
    cdef PyObject** _dirty
    cdef Py_ssize_t _count, _capacity
    cdef object _call_soon
    cdef object _flush_callback
    cdef bint _scheduled
    cdef readonly long long slow_consumers
    cdef readonly size_t max_waiting_bytes
    cdef MemoryBuffer write_buffer  # one for all connections, where picows would keep one for each
    cdef object ended
    cdef int push(self, Connection connection) except -1
    cpdef flush(self)


cdef struct Slot:
    PyObject* channel   # owned reference to a Channel of hub.pyx
    uint32_t index      # this connection's place in that channel


cdef class Connection(WSListener):
    cdef readonly str socket_id
    cdef readonly Traffic traffic
    cdef public object app          # engine.apps.app.App
    cdef public object state        # whatever ws/ keeps for this connection
    cdef object _handler            # opened(connection), message(connection, bytes), closed(connection, code, reason)
    cdef Turn _turn
    cdef WSTransport _transport
    cdef Outbox _outbox
    cdef int _fd                    # -1 under TLS or when closed: every write goes through the transport
    cdef bint _dirty                # in the turn's list
    cdef bint _buffered             # the transport holds bytes that the kernel did not take
    cdef bint _closing              # a close frame was queued; nothing may follow it
    cdef readonly bint pinged       # a pusher:ping is unanswered
    cdef readonly uint32_t last_activity  # seconds of the monotonic clock: last frame in, or the ping / close we sent
    cdef readonly int close_code
    cdef str _close_reason
    cdef Slot* slots
    cdef uint32_t slot_count, slot_capacity
    cdef dict _slot_of              # Channel -> place in slots, once there are many
    cdef bytearray _message         # a fragmented message so far
    cdef size_t _max_message_bytes

    # Runs for each subscriber of a publication.
    cdef int put(self, PyObject* frame) except -1
    cdef int flush(self) except -1
    cdef int _slow(self) except -1
    cdef int _slim(self, WSTransport transport) except -1
    cdef int find_slot(self, object channel) except -2
    cdef int add_slot(self, object channel, uint32_t index) except -1
    cdef int remove_slot(self, uint32_t slot) except -1
    cpdef send(self, bytes frame)
    cpdef close(self, int code, str reason)
    cpdef abort(self)
