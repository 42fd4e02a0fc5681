"""A strict reader of JSON text that decodes nothing: it finds where the parts lie, so that they can be passed on as sent.

Strings must be valid UTF-8 and valid JSON; escapes of lone surrogates, which clients send that cut a text within a
character, are valid JSON (RFC 8259 section 8.2) and pass.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcmp

import json

cdef extern from *:
    """
    #ifdef __SSE2__
    #include <emmintrin.h>
    /* Of the 16 bytes from p on, how many come before the first that is a quote, a backslash, below 0x20 or above 0x7F. */
    static inline int engine_plain_bytes(const char *p) {
        __m128i x = _mm_loadu_si128((const __m128i *)p);
        __m128i low = _mm_cmplt_epi8(x, _mm_set1_epi8(0x20)); /* signed: those above 0x7F are below 0 */
        __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')), _mm_cmpeq_epi8(x, _mm_set1_epi8(92)));
        int found = _mm_movemask_epi8(_mm_or_si128(low, marks));
        return found ? __builtin_ctz((unsigned)found) : 16;
    }
    #else
    static inline int engine_plain_bytes(const char *p) {
        int i = 0;
        while (i < 16 && (signed char)p[i] >= 0x20 && p[i] != '"' && p[i] != 92) i++;
        return i;
    }
    #endif
    """
    int plain_bytes "engine_plain_bytes"(const char* p) noexcept nogil

cdef enum:
    #: As orjson has it.
    MAX_DEPTH = 1024
    #: Bytes of a string that are looked at at once.
    STEP = 16


def members(bytes data not None, int max_depth=MAX_DEPTH):
    """The members of a JSON object: name -> its value's text as it lies, of each name the last.

    None for a valid text of anything else. Raises ValueError where the text is not valid JSON, or nested more deeply
    than that.
    """
    cdef const char* start = PyBytes_AS_STRING(data)
    cdef const char* end = start + PyBytes_GET_SIZE(data)
    cdef const char* p = _whole(start, end, MAX_DEPTH - max_depth)
    cdef const char* value
    cdef Text name
    cdef dict found = {}
    if p[0] != 123:  # {
        return None
    p = skip_space(p + 1, end)
    while p[0] != 125:  # }
        p = read_string(p, end, &name)
        key = json.loads((name.at - 1)[:name.size + 2]) if name.escaped else name.at[:name.size].decode()
        value = skip_space(skip_space(p, end) + 1, end)
        p = skip_value(value, end, 1)
        found[key] = value[:p - value]
        p = skip_space(p, end)
        if p[0] == 44:  # ,
            p = skip_space(p + 1, end)
    return found


def items(bytes data not None):
    """The items of a JSON array, each as its text lies. None and ValueError as with `members`."""
    cdef const char* start = PyBytes_AS_STRING(data)
    cdef const char* end = start + PyBytes_GET_SIZE(data)
    cdef const char* p = _whole(start, end, 0)
    cdef const char* value
    cdef list found = []
    if p[0] != 91:  # [
        return None
    p = skip_space(p + 1, end)
    while p[0] != 93:  # ]
        value = p
        p = skip_value(value, end, 1)
        found.append(value[:p - value])
        p = skip_space(p, end)
        if p[0] == 44:  # ,
            p = skip_space(p + 1, end)
    return found


cdef const char* _whole(const char* start, const char* end, int depth) except NULL:
    """Where the only value of a text begins. :param depth: of what the text is thought to stand in."""
    cdef const char* p = skip_space(start, end)
    cdef const char* behind = skip_value(p, end, depth)
    if behind == NULL or skip_space(behind, end) != end:
        raise ValueError("not valid JSON")
    return p


cdef const char* skip_space(const char* p, const char* end) noexcept nogil:
    while p < end and (p[0] == 32 or p[0] == 10 or p[0] == 13 or p[0] == 9):
        p += 1
    return p


cdef const char* read_string(const char* p, const char* end, Text* text) noexcept nogil:
    cdef unsigned char c
    cdef unsigned int unit
    cdef Py_ssize_t bytes_saved = 0, continuations = 0, escapes_saved = 0
    cdef int plain
    if p >= end or p[0] != 34:  # "
        return NULL
    p += 1
    text.at, text.escaped = p, False
    while p < end:
        while end - p >= STEP:
            plain = plain_bytes(p)
            p += plain
            if plain < STEP:
                break
        if p >= end:
            break
        c = <unsigned char>p[0]
        if c == 34:
            text.size = p - text.at
            text.utf8_bytes = text.size - bytes_saved
            text.characters = text.size - escapes_saved - continuations
            return p + 1
        if c == 92:  # a backslash
            text.escaped = True
            if end - p < 2:
                return NULL
            c = <unsigned char>p[1]
            if c != 117:  # u
                if not (c == 34 or c == 92 or c == 47 or c == 98 or c == 102 or c == 110 or c == 114 or c == 116):
                    return NULL
                bytes_saved += 1
                escapes_saved += 1
                p += 2
                continue
            unit = _unit(p, end)
            if unit > 0xFFFF:
                return NULL
            p += 6
            if 0xD800 <= unit < 0xDC00 and 0xDC00 <= _unit(p, end) < 0xE000:
                p += 6
                bytes_saved += 8
                escapes_saved += 11
            else:
                bytes_saved += 5 if unit < 0x80 else 4 if unit < 0x800 else 3
                escapes_saved += 5
        elif c < 32:
            return NULL
        elif c < 128:
            p += 1
        else:
            unit = _sequence(<const unsigned char*>p, end - p)
            if unit == 0:
                return NULL
            continuations += unit - 1
            p += unit
    return NULL


cdef const char* read_mark(const char* p, const char* end, char mark) noexcept nogil:
    return skip_space(p + 1, end) if p != NULL and p < end and p[0] == mark else NULL


cdef const char* read_key(const char* p, const char* end, Text* key) noexcept nogil:
    p = read_string(p, end, key)
    return NULL if p == NULL else read_mark(skip_space(p, end), end, 58)


cdef const char* skip_value(const char* p, const char* end, int depth) noexcept nogil:
    cdef Text text
    cdef char close
    if p >= end or depth > MAX_DEPTH:
        return NULL
    if p[0] == 34:
        return read_string(p, end, &text)
    if p[0] == 123 or p[0] == 91:  # { [
        close = <char>(p[0] + 2)
        p = skip_space(p + 1, end)
        if p < end and p[0] == close:
            return p + 1
        while True:
            if close == 125:
                p = read_key(p, end, &text)
                if p == NULL:
                    return NULL
            p = skip_value(p, end, depth + 1)
            if p == NULL:
                return NULL
            p = skip_space(p, end)
            if p < end and p[0] == close:
                return p + 1
            p = read_mark(p, end, 44)
            if p == NULL:
                return NULL
    if p[0] == 116:
        return _word(p, end, b"true", 4)
    if p[0] == 102:
        return _word(p, end, b"false", 5)
    if p[0] == 110:
        return _word(p, end, b"null", 4)
    return _number(p, end)


cdef unsigned int _unit(const char* p, const char* end) noexcept nogil:
    r"""The UTF-16 unit of an escape \uXXXX; 0x10000 where there is none."""
    cdef unsigned int value = 0
    cdef int i
    cdef char c
    if end - p < 6 or p[0] != 92 or p[1] != 117:
        return 0x10000
    for i in range(2, 6):
        c = p[i]
        if 48 <= c <= 57:
            value = value * 16 + (c - 48)
        elif 65 <= c <= 70:
            value = value * 16 + (c - 55)
        elif 97 <= c <= 102:
            value = value * 16 + (c - 87)
        else:
            return 0x10000
    return value


cdef unsigned int _sequence(const unsigned char* p, Py_ssize_t left) noexcept nogil:
    """Bytes of the UTF-8 sequence of a character beyond ASCII (RFC 3629 section 4); 0 where it is not valid."""
    if 0xC2 <= p[0] <= 0xDF:
        return 2 if left >= 2 and p[1] & 0xC0 == 0x80 else 0
    if 0xE0 <= p[0] <= 0xEF:
        if left < 3 or p[1] & 0xC0 != 0x80 or p[2] & 0xC0 != 0x80:
            return 0
        # Neither longer than need be nor a surrogate.
        return 0 if (p[0] == 0xE0 and p[1] < 0xA0) or (p[0] == 0xED and p[1] > 0x9F) else 3
    if 0xF0 <= p[0] <= 0xF4:
        if left < 4 or p[1] & 0xC0 != 0x80 or p[2] & 0xC0 != 0x80 or p[3] & 0xC0 != 0x80:
            return 0
        return 0 if (p[0] == 0xF0 and p[1] < 0x90) or (p[0] == 0xF4 and p[1] > 0x8F) else 4
    return 0


cdef const char* _word(const char* p, const char* end, const char* word, Py_ssize_t size) noexcept nogil:
    return p + size if end - p >= size and memcmp(p, word, <size_t>size) == 0 else NULL


cdef const char* _number(const char* p, const char* end) noexcept nogil:
    """RFC 8259 section 6."""
    if p < end and p[0] == 45:  # -
        p += 1
    if p >= end:
        return NULL
    if p[0] == 48:
        p += 1
    else:
        p = _digits(p, end)
    if p != NULL and p < end and p[0] == 46:  # .
        p = _digits(p + 1, end)
    if p != NULL and p < end and (p[0] == 101 or p[0] == 69):  # e E
        p += 1
        if p < end and (p[0] == 43 or p[0] == 45):
            p += 1
        p = _digits(p, end)
    return p


cdef const char* _digits(const char* p, const char* end) noexcept nogil:
    cdef const char* start = p
    while p < end and 48 <= p[0] <= 57:
        p += 1
    return p if p > start else NULL
