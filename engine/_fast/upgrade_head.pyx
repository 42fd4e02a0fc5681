"""Heads of upgrade requests in the form that browsers and client libraries send, read by llhttp: no dict of headers.

Says what was asked, or nothing at all: whatever is repeated, missing, unusual or wrong is left to `ws/upgrade.py`, where
picows reads it and knows every answer.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.string cimport memchr, memcpy, memset

from engine._fast.digest cimport sha1
from engine._fast.llhttp cimport ROOM, Span, _llhttp, lay_out, run

from binascii import b2a_base64

cdef extern from "strings.h" nogil:
    int strncasecmp(const char* a, const char* b, size_t size)

cdef enum:
    HTTP_GET = 1
    #: Fewer than picows takes.
    MAX_HEADERS = 64
    #: Sixteen bytes in base64 (RFC 6455 section 4.1), and what is put behind them.
    KEY = 24
    GUID = 36
    KNOWN = 9
    FOREIGN = -1

cdef const char* _guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


# Headers that are looked at, each of which may come once; of the others none says anything here.
cdef enum:
    NONE = 0
    UPGRADE
    CONNECTION
    SOCKET_KEY
    VERSION
    ORIGIN
    HOST
    LAST


cdef struct Name:
    const char* name
    size_t size
    int header


cdef struct Head:
    Span target
    Span values[LAST]
    int header              # whose value comes next
    bint valued             # that one has come: a line that is folded would bring another
    int headers
    bint plain, complete


cdef Name _names[KNOWN]
_NAMES = (
    (b"upgrade", UPGRADE),
    (b"connection", CONNECTION),
    (b"sec-websocket-key", SOCKET_KEY),
    (b"sec-websocket-version", VERSION),
    (b"origin", ORIGIN),
    (b"host", HOST),
    (b"sec-websocket-protocol", FOREIGN),
    (b"content-length", FOREIGN),
    (b"transfer-encoding", FOREIGN),
)

cdef unsigned long long _settings[ROOM]
cdef Head* _head = NULL

#: How the answer begins; the key's digest and an empty line follow.
cdef bytes _ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "
)


@cython.final
cdef class UpgradeHead:
    """:ivar path: the request's target, as sent. :ivar origin: None where there is none.
    :ivar answer: to the handshake, complete. :ivar size: bytes of the head.
    """

    cdef readonly bytes path, answer
    cdef readonly str origin
    cdef readonly Py_ssize_t size
    cdef bytes _data

    def getall(self, str name not None, default=None):
        """The values of a header, in order, under its name in any case; for those that are rarely asked for."""
        cdef bytes wanted = name.encode()
        cdef const char* p = PyBytes_AS_STRING(self._data)
        cdef const char* end = p + self.size - 2
        cdef const char* line_end
        cdef size_t size = <size_t>len(wanted)
        found = []
        while p < end:
            line_end = <const char*>memchr(p, 13, <size_t>(end - p))
            if <size_t>(line_end - p) > size and p[size] == 58 and strncasecmp(p, wanted, size) == 0:
                found.append(p[size + 1:line_end - p].strip(b" \t").decode("ascii"))
            p = line_end + 2
        return found or default


def read_upgrade(bytes data not None, Py_ssize_t most) -> UpgradeHead | None:
    """:param data: what has come; bytes may follow the head. :param most: longest head, without the empty line."""
    cdef Head head
    cdef UpgradeHead made
    cdef const char* start = PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = _head_bytes(start, PyBytes_GET_SIZE(data))
    if size == 0 or size - 4 > most or not _read(start, size, &head):
        return None
    made = UpgradeHead.__new__(UpgradeHead)
    made.path = head.target.at[:head.target.size]
    if head.values[ORIGIN].at != NULL:
        made.origin = head.values[ORIGIN].at[:head.values[ORIGIN].size].decode("ascii")
    made.answer = _answer(head.values[SOCKET_KEY].at)
    made.size, made._data = size, data
    return made


cdef bytes _answer(const char* key):
    cdef char joined[KEY + GUID]
    cdef unsigned char digest[20]
    memcpy(joined, key, KEY)
    memcpy(joined + KEY, _guid, GUID)
    sha1(joined, KEY + GUID, digest)
    return _ANSWER + <bytes>b2a_base64((<const char*>digest)[:20], newline=False) + b"\r\n\r\n"


cdef Py_ssize_t _head_bytes(const char* data, Py_ssize_t size) noexcept:
    """Of the head with its empty line; 0 where it has not all come."""
    cdef const char* p = data
    cdef const char* end = data + size
    while True:
        p = <const char*>memchr(p, 10, <size_t>(end - p))
        if p == NULL or end - p < 3:
            return 0
        if p - data > 0 and (p - 1)[0] == 13 and p[1] == 13 and p[2] == 10:
            return p + 3 - data
        p += 1


cdef bint _read(const char* data, Py_ssize_t size, Head* head) noexcept:
    """Whether these bytes are the head of an upgrade that is to be answered with 101."""
    global _head
    memset(head, 0, sizeof(Head))
    head.plain = True
    _head = head
    run(_settings, data, size)
    _head = NULL
    return (
        head.plain
        and head.complete
        and head.target.size > 0
        and head.values[HOST].at != NULL
        and _is(&head.values[UPGRADE], b"websocket", 9)
        and _asks_for_upgrade(&head.values[CONNECTION])
        and head.values[VERSION].size == 2
        and head.values[VERSION].at[0] == 49
        and head.values[VERSION].at[1] == 51
        and head.values[SOCKET_KEY].size == KEY
        and _is_key(head.values[SOCKET_KEY].at)
    )


cdef bint _is(const Span* value, const char* text, Py_ssize_t size) noexcept:
    return value.size == size and strncasecmp(value.at, text, <size_t>size) == 0


cdef bint _asks_for_upgrade(const Span* value) noexcept:
    """`Upgrade`, alone or as one of two as Firefox and proxies send it."""
    return _is(value, b"upgrade", 7) or _is(value, b"keep-alive, upgrade", 19)


cdef bint _is_key(const char* key) noexcept:
    cdef int i
    for i in range(KEY - 2):
        if not (65 <= key[i] <= 90 or 97 <= key[i] <= 122 or 47 <= key[i] <= 57 or key[i] == 43):
            return False
    return key[KEY - 2] == 61 and key[KEY - 1] == 61


cdef int _on_url(void* parser, const char* at, size_t size) noexcept nogil:
    if _head.target.size:
        _head.plain = False
    _head.target.at, _head.target.size = at, <Py_ssize_t>size
    return 0


cdef int _on_header_field(void* parser, const char* at, size_t size) noexcept nogil:
    cdef int i
    _head.header = NONE
    _head.valued = False
    _head.headers += 1
    if _head.headers > MAX_HEADERS:
        _head.plain = False
    for i in range(KNOWN):
        if _names[i].size == size and strncasecmp(_names[i].name, at, size) == 0:
            _head.header = _names[i].header
            if _head.header == FOREIGN:
                _head.plain = False
                _head.header = NONE
    return 0


cdef int _on_header_value(void* parser, const char* at, size_t size) noexcept nogil:
    cdef Span* value
    if _head.valued or not _is_ascii(at, size):
        _head.plain = False
    _head.valued = True
    if _head.header != NONE:
        value = &_head.values[_head.header]
        # A value with blanks behind it is one that others see without them.
        if value.at != NULL or size == 0 or at[size - 1] <= 32:
            _head.plain = False
        value.at, value.size = at, <Py_ssize_t>size
    return 0


cdef bint _is_ascii(const char* at, size_t size) noexcept nogil:
    cdef uint64_t word
    while size >= 8:
        memcpy(&word, at, 8)
        if word & 0x8080808080808080ull:
            return False
        at += 8
        size -= 8
    while size:
        size -= 1
        if at[size] < 0:
            return False
    return True


cdef int _on_headers_complete(void* parser) noexcept nogil:
    _head.complete = (
        _llhttp.method(parser) == HTTP_GET and _llhttp.major(parser) == 1 and _llhttp.minor(parser) == 1
    )
    return 0


for _at, (_name, _header) in enumerate(_NAMES):
    _names[<int>_at].name, _names[<int>_at].size, _names[<int>_at].header = <const char*>_name, len(_name), _header
lay_out(_settings, _on_url, _on_header_field, _on_header_value, _on_headers_complete)
