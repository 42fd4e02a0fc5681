# The loop turn's lists: of what has something to write, and of what has more to read than one turn may take.

from cpython.object cimport PyObject
from libc.stdint cimport uint32_t

from engine._fast.counting cimport Sizes


cdef class Queued:
    # The base of a connection.
    cdef bint _dirty                        # in the list of a FlushQueue
    cdef int flush(self) except -1          # runs for each subscriber of a publication
    cdef int go_on(self) except -1          # does what was put off: reads, or ends
    cdef int fail(self) except -1           # ends it: one of the two has raised


# Says in the log that its part of a turn has raised, and ends it.
cdef int fail_one(Queued one) except -1


cdef struct Timed:
    PyObject* took          # owned reference to the Sizes that it is counted in
    long long began_us


cdef class FlushQueue:
    # The connections touched since the last flush (owned references), flushed once at the end of the loop turn.
    cdef PyObject** _dirty
    cdef Py_ssize_t _count, _capacity
    cdef Py_ssize_t _done                   # places before this one hold nothing any more; 0 but during a flush
    # What was published to connections among them; taken when all are flushed. Made when the first one comes.
    cdef Timed* _timed
    cdef Py_ssize_t _timed_count
    cdef object _call_soon
    cdef object _flush_callback
    cdef bint _scheduled
    cdef readonly long long slow_consumers
    cdef readonly size_t max_waiting_bytes
    cdef readonly uint32_t max_frames_per_second
    cdef readonly ReadQueue reads
    cdef int push(self, Queued connection) except -1
    cdef bint hold(self) except -1
    cdef int release(self) except -1
    cpdef flush(self)
    # Runs for each publication: two numbers are kept.
    cdef int time(self, Sizes took, long long began_us) except -1
    cdef int _take_times(self) except -1
    # Its loop runs for each subscriber; no `try` in it, whose entry and exit would cost each of them 19 instructions.
    cdef int _flush_until(self, long long deadline, PyObject** one) except -1


cdef class ReadQueue:
    cdef object _call_soon, _callback
    cdef list _waiting      # for a later turn of the loop
    cdef list _resting      # for the next second
    cdef bint _scheduled
    cdef int put_off(self, Queued one) except -1
    cdef int rest(self, Queued one) except -1
