# Heads of plain publishes, read by llhttp's C interface.

# A piece of bytes that the caller owns.
cdef struct Span:
    const char* at
    Py_ssize_t size


cdef struct Head:
    Span target             # of the request, as sent
    Py_ssize_t body_bytes   # its Content-Length
    bint plain
    # While it is being read:
    bint has_length, reads_length, complete
    unsigned int seen       # headers that may come once
    int headers


# Runs for each publish. Whether these bytes, which end in an empty line, are the head of a plain request: POST over
# HTTP/1.1, of known length, keeping the connection, asking for nothing but an answer. No Python object is touched.
cdef bint read_head(const char* data, Py_ssize_t size, Head* head) noexcept
