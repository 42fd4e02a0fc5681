"""llhttp, called through its C interface: heads of requests without a Python object for each header.

It is the copy that aiohttp has loaded, so that both readers of requests see the same: its functions are looked up at
import. Where they cannot be found (an aiohttp without its compiled part) `available` says so, and aiohttp reads all.
"""

from libc.string cimport memset

from engine._fast.native cimport function_of, library_of

cdef extern from "strings.h" nogil:
    int strncasecmp(const char* a, const char* b, size_t size)

cdef enum:
    HTTP_REQUEST = 1
    HTTP_POST = 3
    #: aiohttp refuses more.
    MAX_HEADERS = 100
    CONTENT_LENGTH = 1
    HOST = 2
    FOREIGN = 0
    #: Where a settings' callbacks are, counted in pointers. Since llhttp 9.3 another one, on_protocol, comes first.
    ON_URL = 1
    ON_HEADER_FIELD = 5
    ON_HEADER_VALUE = 6
    ON_HEADERS_COMPLETE = 9


cdef struct Known:
    const char* name
    size_t size
    unsigned int bit


# Aligned as malloc would.
cdef unsigned long long _parser[ROOM]
cdef unsigned long long _settings[ROOM]
cdef Head* _head = NULL
#: How many callbacks come before those that are known.
cdef int _shift = 0

#: Headers that may come once, each with its bit, as aiohttp has them; and with FOREIGN those that ask for more than an
#: answer to a body of known length. `Origin` is among these for its CORS headers. `Upgrade` is not: an offer that need
#: not be taken up (RFC 9110 section 7.8).
cdef Known _known[16]
_NAMES = (
    (b"content-length", CONTENT_LENGTH),
    (b"host", HOST),
    (b"content-type", 4),
    (b"user-agent", 8),
    (b"content-location", 16),
    (b"content-range", 32),
    (b"etag", 64),
    (b"max-forwards", 128),
    (b"server", 256),
    (b"transfer-encoding", FOREIGN),
    (b"content-encoding", FOREIGN),
    (b"expect", FOREIGN),
    (b"origin", FOREIGN),
    (b"trailer", FOREIGN),
    (b"x-idempotency-key", FOREIGN),
    (b"sec-websocket-key1", FOREIGN),
)


cdef bint read_head(const char* data, Py_ssize_t size, Head* head) noexcept:
    global _head
    memset(head, 0, sizeof(Head))
    head.plain = True
    _head = head
    run(_settings, data, size)
    _head = NULL
    return head.plain and head.complete and head.has_length and head.seen & HOST and head.target.size > 0


cdef int _on_url(void* parser, const char* at, size_t size) noexcept nogil:
    if _head.target.size:
        _head.plain = False
    _head.target.at, _head.target.size = at, <Py_ssize_t>size
    return 0


cdef int _on_header_field(void* parser, const char* at, size_t size) noexcept nogil:
    cdef int i
    _head.reads_length = False
    _head.headers += 1
    if _head.headers > MAX_HEADERS:
        _head.plain = False
    for i in range(16):
        if _known[i].size == size and strncasecmp(_known[i].name, at, size) == 0:
            if _known[i].bit == FOREIGN or _head.seen & _known[i].bit:
                _head.plain = False
            _head.seen |= _known[i].bit
            _head.reads_length = _known[i].bit == CONTENT_LENGTH
    return 0


cdef int _on_header_value(void* parser, const char* at, size_t size) noexcept nogil:
    cdef size_t i
    if not _head.reads_length:
        return 0
    if _head.has_length or size == 0 or size > 15:
        _head.plain = False
        return 0
    _head.has_length = True
    for i in range(size):
        if not 48 <= at[i] <= 57:
            _head.plain = False
            return 0
        _head.body_bytes = _head.body_bytes * 10 + (at[i] - 48)
    return 0


cdef int _on_headers_complete(void* parser) noexcept nogil:
    # Asked here: without a body the message is complete as well, and llhttp has forgotten what its head said.
    _head.complete = (
        _llhttp.method(parser) == HTTP_POST
        and _llhttp.major(parser) == 1
        and _llhttp.minor(parser) == 1
        and _llhttp.should_keep_alive(parser) != 0
    )
    return 0


def available() -> bool:
    """Whether heads can be read here."""
    return _llhttp.init != NULL


cdef bint _reads() noexcept:
    """Whether the callbacks are where they are thought to be: each must be called for what is its own."""
    cdef Head head
    cdef const char* sample = b"POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n"
    cdef const char* closing = b"POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    cdef const char* twice = b"POST /a HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 12\r\n\r\n"
    return (
        read_head(sample, 52, &head)
        and head.target.at == sample + 5
        and head.target.size == 4
        and head.body_bytes == 12
        and head.headers == 2
        and not read_head(closing, 67, &head)
        and not read_head(twice, 58, &head)
    )


cdef bint lay_out(
    unsigned long long* settings, data_callback url, data_callback field, data_callback value, callback complete
) noexcept:
    cdef void** callbacks = <void**>settings
    if _llhttp.init == NULL:
        return False
    _llhttp.settings_init(<void*>settings)
    callbacks[ON_URL + _shift] = <void*>url
    callbacks[ON_HEADER_FIELD + _shift] = <void*>field
    callbacks[ON_HEADER_VALUE + _shift] = <void*>value
    callbacks[ON_HEADERS_COMPLETE + _shift] = <void*>complete
    return True


cdef void run(unsigned long long* settings, const char* data, Py_ssize_t size) noexcept:
    if _llhttp.init != NULL:
        _llhttp.init(<void*>_parser, HTTP_REQUEST, <void*>settings)
        _llhttp.execute(<void*>_parser, data, <size_t>size)


cdef bint _lay_out_own(int shift) noexcept:
    global _shift
    _shift = shift
    return lay_out(_settings, _on_url, _on_header_field, _on_header_value, _on_headers_complete) and _reads()


cdef int _find() except -1:
    cdef void* library = library_of("aiohttp._http_parser")
    cdef Py_ssize_t i
    for i, (name, bit) in enumerate(_NAMES):
        _known[i].name, _known[i].size, _known[i].bit = <const char*>name, len(name), bit
    _llhttp.settings_init = <settings_init_fn>function_of(library, "llhttp_settings_init")
    _llhttp.execute = <execute_fn>function_of(library, "llhttp_execute")
    _llhttp.should_keep_alive = <keep_alive_fn>function_of(library, "llhttp_should_keep_alive")
    _llhttp.method = <field_fn>function_of(library, "llhttp_get_method")
    _llhttp.major = <field_fn>function_of(library, "llhttp_get_http_major")
    _llhttp.minor = <field_fn>function_of(library, "llhttp_get_http_minor")
    _llhttp.init = <init_fn>function_of(library, "llhttp_init")
    if (
        _llhttp.settings_init == NULL or _llhttp.execute == NULL or _llhttp.should_keep_alive == NULL
        or _llhttp.method == NULL or _llhttp.major == NULL or _llhttp.minor == NULL or _llhttp.init == NULL
        or not (_lay_out_own(1) or _lay_out_own(0))
    ):
        _llhttp.init = NULL
    return 0


_find()
