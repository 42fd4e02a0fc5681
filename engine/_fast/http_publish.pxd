# The road of publishes: POST events and batch_events on keep-alive connections, without aiohttp.

# What the unread bytes begin with: too little to tell, a whole request of ours, or somebody else's.
cdef enum Verdict:
    WAIT
    READY
    FOREIGN


cdef class PublishProtocol:
    cdef object _parser              # httptools.HttpRequestParser over llhttp, fed one whole head and one whole body
    cdef object _transport
    cdef object _answer              # async (target, body) -> bytes of the whole answer
    cdef object _elsewhere           # (transport, unread bytes): whose connection it is from then on
    cdef object _spawn               # (coroutine, name, what ends this connection)
    cdef object _on_end              # (this): the connection is gone or handed over
    cdef bytes _prefix               # of a publish's request line
    cdef Py_ssize_t _max_body
    cdef bytes _unread               # from the first byte of the next request on
    cdef Py_ssize_t _head            # of that request, in bytes; 0 while its head is not complete
    cdef Py_ssize_t _body            # its Content-Length
    cdef int _hosts                  # Host headers in its head
    cdef bytes _target
    cdef bint _offered               # its client offers another protocol
    cdef bint _has_length, _plain, _paused, _closing
    cdef readonly bint busy          # a request is being answered
    cdef readonly unsigned int last_activity  # monotonic seconds
    cdef int _look(self) except -1
    cdef tuple _take(self)
    cdef Verdict _next(self) except? FOREIGN
    cdef Verdict _read_head(self) except? FOREIGN
    cdef Verdict _request_line(self) except? FOREIGN
    cdef int _hand_over(self) except -1
