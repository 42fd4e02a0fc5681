"""Finds the next request among the bytes of a connection, and whether it is a publish.

Heads are read by llhttp. A back end's requests differ in their first line and in little else: header lines that llhttp
has read before, byte for byte, are not read again, and mean what they meant then. Behind a first line of one form only,
whose every byte llhttp takes: whatever is not of that form is llhttp's to judge.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

from engine._fast.llhttp cimport read_head
from engine._fast.publish_target cimport read_target

cdef enum:
    #: Longest head; longer ones are aiohttp's to refuse.
    MAX_HEAD = 8000
    #: Longest header lines that are kept, and how many of them; a power of two.
    MAX_KNOWN = 512
    KNOWN = 64

cdef extern from *:
    """
    #ifdef __SSE2__
    #include <emmintrin.h>
    #endif
    /* Whether all bytes are printable ASCII, and none a space or '#', which begins a part that is none of a target. */
    static int engine_is_simple(const char *p, Py_ssize_t size) {
        Py_ssize_t i = 0;
    #ifdef __SSE2__
        for (; i + 16 <= size; i += 16) {
            __m128i x = _mm_loadu_si128((const __m128i *)(p + i));
            __m128i odd = _mm_or_si128(_mm_cmplt_epi8(x, _mm_set1_epi8(33)), _mm_cmpeq_epi8(x, _mm_set1_epi8(127)));
            if (_mm_movemask_epi8(_mm_or_si128(odd, _mm_cmpeq_epi8(x, _mm_set1_epi8('#'))))) return 0;
        }
    #endif
        for (; i < size; i++) if ((signed char)p[i] < 33 || p[i] == 127 || p[i] == '#') return 0;
        return 1;
    }
    """
    bint _is_simple "engine_is_simple"(const char* p, Py_ssize_t size) noexcept nogil


# Header lines with the empty line behind them, of a plain request.
cdef struct Known:
    Py_ssize_t size         # 0: none
    Py_ssize_t body_bytes   # what they say of the body
    char lines[MAX_KNOWN]


cdef Known _known[KNOWN]


cdef Verdict next_request(
    const char* data, Py_ssize_t size, bytes prefix, Py_ssize_t max_body, Request* request
) noexcept:
    cdef const char* behind = _empty_line(data, min(size, MAX_HEAD))
    cdef Py_ssize_t known
    request.in_body = False
    request.needs = 0
    if behind == NULL:
        if size >= MAX_HEAD:
            return FOREIGN
        # Nothing but a publish is worth waiting for.
        known = min(size, 5 + PyBytes_GET_SIZE(prefix))
        if memcmp(data, b"POST ", <size_t>min(known, 5)) != 0 or (known > 5 and memcmp(
            data + 5, PyBytes_AS_STRING(prefix), <size_t>(known - 5)
        ) != 0):
            return FOREIGN
        request.needs = size + 1
        return WAIT
    request.head_bytes = behind - data
    if not _read_head(data, request.head_bytes, &request.head) or request.head.body_bytes > max_body:
        return FOREIGN
    if not read_target(request.head.target, prefix, &request.target):
        return FOREIGN
    if size >= request.head_bytes + request.head.body_bytes:
        return READY
    request.needs = request.head_bytes + request.head.body_bytes
    request.in_body = True
    return WAIT


cdef bint _read_head(const char* data, Py_ssize_t size, Head* head) noexcept:
    """As `read_head` does."""
    cdef const char* behind = _first_line(data, size)
    cdef Py_ssize_t left = 0 if behind == NULL else size - (behind - data)
    cdef Known* known
    if not 0 < left <= MAX_KNOWN:
        return read_head(data, size, head)
    known = &_known[_hash(behind, left)]
    if known.size == left and memcmp(known.lines, behind, <size_t>left) == 0:
        memset(head, 0, sizeof(Head))
        head.plain = True
        head.target.at, head.target.size = data + 5, behind - data - 16
        head.body_bytes = known.body_bytes
        return True
    if not read_head(data, size, head):
        return False
    known.size, known.body_bytes = left, head.body_bytes
    memcpy(known.lines, behind, <size_t>left)
    return True


cdef const char* _first_line(const char* data, Py_ssize_t size) noexcept:
    """Behind `POST /… HTTP/1.1`; NULL where the first line is not of that form."""
    cdef const char* end = <const char*>memchr(data, 10, <size_t>size)
    if end == NULL or end - data < 16 or memcmp(data, b"POST /", 6) != 0 or memcmp(end - 10, b" HTTP/1.1\r", 10) != 0:
        return NULL
    return end + 1 if _is_simple(data + 5, end - data - 15) else NULL


cdef const char* _empty_line(const char* data, Py_ssize_t size) noexcept:
    """Behind the empty line that ends a head; NULL where there is none."""
    cdef const char* end = data + size
    cdef const char* p = data
    while p < end:
        p = <const char*>memchr(p, 10, <size_t>(end - p))
        if p == NULL:
            return NULL
        if end - p >= 3 and p > data and (p - 1)[0] == 13 and p[1] == 13 and p[2] == 10:
            return p + 3
        p += 1
    return NULL


cdef unsigned int _hash(const char* data, Py_ssize_t size) noexcept:
    """A place in the table; what is there is compared."""
    cdef uint64_t found = <uint64_t>size, word = 0
    while size >= 8:
        memcpy(&word, data, 8)
        found = (found ^ word) * 0x9E3779B97F4A7C15ull
        found ^= found >> 29
        data += 8
        size -= 8
    word = 0
    memcpy(&word, data, <size_t>size)
    found = (found ^ word) * 0x9E3779B97F4A7C15ull
    return <unsigned int>(found >> 40) & (KNOWN - 1)
