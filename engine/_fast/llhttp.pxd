# llhttp's C interface, and the heads of plain publishes read by it.

ctypedef int (*data_callback)(void* parser, const char* at, size_t size) noexcept nogil
ctypedef int (*callback)(void* parser) noexcept nogil

ctypedef void (*settings_init_fn)(void* settings) noexcept nogil
ctypedef void (*init_fn)(void* parser, int kind, const void* settings) noexcept nogil
ctypedef int (*execute_fn)(void* parser, const char* data, size_t size) noexcept nogil
ctypedef int (*keep_alive_fn)(const void* parser) noexcept nogil
ctypedef unsigned char (*field_fn)(void* parser) noexcept nogil


cdef struct Functions:
    settings_init_fn settings_init
    init_fn init
    execute_fn execute
    keep_alive_fn should_keep_alive
    field_fn method, major, minor


cdef enum:
    #: In words of eight bytes; llhttp_t and llhttp_settings_t take 12 and 26.
    ROOM = 64


# `init` is NULL where the library was not found, or is not as it is thought to be.
cdef Functions _llhttp

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

# Settings, of ROOM words, that call these; whether there is a library to give them to.
cdef bint lay_out(
    unsigned long long* settings, data_callback url, data_callback field, data_callback value, callback complete
) noexcept

# Calls them for the head with which these bytes begin; none where there is no library.
cdef void run(unsigned long long* settings, const char* data, Py_ssize_t size) noexcept
