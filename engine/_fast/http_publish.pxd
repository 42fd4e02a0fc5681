# The road of publishes: POST events and batch_events on keep-alive connections, without aiohttp.

from libc.stdint cimport uint32_t

from engine._fast.awaited_link cimport Awaited
from engine._fast.http_socket cimport HttpSocket
from engine._fast.llhttp cimport Head
from engine._fast.plain_publish cimport PlainPublisher
from engine._fast.queues cimport ReadQueue
from engine._fast.readable cimport Readers
from engine._fast.sampler cimport Sampler
from engine._fast.unread cimport Unread

cdef class PublishServer:
    cdef public PlainPublisher plain
    cdef public Sampler sampler      # None where no spans are made
    cdef object _answer              # async (target, body) -> bytes of the whole answer
    cdef object _refuse              # (target, body bytes) -> bytes of the whole answer, or None
    cdef object _usual               # () -> the usual answer, with the date of now
    cdef object _late                # () -> the answer to a request whose body took too long
    cdef object _untaken             # (app id, body bytes, seconds, error) -> the answer to a publish that was not taken
    cdef object _elsewhere           # (transport, unread bytes, source): whose connection it is from then on
    cdef object _serve               # (coroutine, name, what ends the connection)
    cdef readonly ReadQueue reads            # connections with requests left for the next turn
    cdef readonly Readers readers            # of connections that publish more than once
    cdef readonly set connections
    cdef public object on_empty
    cdef bytes _prefix               # of a publish's target
    cdef Py_ssize_t _max_body
    cdef bytes _ok                   # the usual answer
    cdef long _ok_s                  # the second that it names
    cdef int forget(self, PublishProtocol connection) except -1
    cdef bytes _usual_answer(self)


cdef class PublishProtocol(HttpSocket):
    cdef PublishServer _server
    cdef object _source              # whoever takes the connection over is told where it comes from, or None
    cdef Unread _unread              # from the first byte of the next request on
    cdef Py_ssize_t _needs           # bytes of unread below which there is nothing to look at
    cdef Py_ssize_t _skip            # bytes of a refused body that are still to come, and are not kept
    cdef bytes _refusal              # the answer once they have come
    cdef bytes _got                  # the answer of a request that did not have to wait
    cdef Awaited _awaited            # what the plain publish that is being answered waits for
    cdef bint _inline, _paused, _closing, _put_off
    cdef bint _in_body               # the head of the request at the front is complete
    cdef readonly bint busy          # a request is being answered
    cdef readonly uint32_t last_activity   # monotonic seconds
    cdef uint32_t _begun             # when the first byte of the request at the front came; 0 while there is none
    cdef uint32_t _paused_at         # when the client was found not to read its answers
    cdef Py_ssize_t _work(self, const char* data, Py_ssize_t size) except -1
    cdef int _end_awaited(self) except -1
    cdef int _give(self, bytes answer) except -1
    cdef bytes _ask(self, bytes target, bytes body, bytes caller)
    cdef int _refuse_early(self, const Head* head, Py_ssize_t missing) except -1
    cdef int _hand_over(self, bytes unread) except -1
