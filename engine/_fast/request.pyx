"""Signature of an HTTP API request in the form that every official library sends (H-3, H-4).

Says yes, or nothing at all: whatever is escaped, repeated, in arrays, in capitals or simply wrong is left to
`protocol/api_auth.py`, which knows every form and every error.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memchr, memcmp, memcpy

from engine._fast.digest cimport md5_hex

cdef enum:
    MAX_PARAMETERS = 16
    MAX_TEXT = 4096
    HEX_SHA256 = 64
    HEX_MD5 = 32


cdef struct Parameter:
    const char* key
    Py_ssize_t key_size
    const char* value
    Py_ssize_t value_size


cdef inline int _compare(const Parameter* a, const Parameter* b) noexcept:
    cdef int order = memcmp(a.key, b.key, <size_t>min(a.key_size, b.key_size))
    return order if order else (-1 if a.key_size < b.key_size else <int>(a.key_size > b.key_size))


cdef inline bint _says(const Parameter* parameter, const char* value, Py_ssize_t size) noexcept:
    return parameter.value_size == size and memcmp(parameter.value, value, <size_t>size) == 0


cdef inline Span _span(bytes data):
    return Span(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


cdef inline bint _is(const Parameter* parameter, const char* name, Py_ssize_t size) noexcept:
    return parameter.key_size == size and memcmp(parameter.key, name, <size_t>size) == 0


def signed_plainly(Signer signer not None, str key not None, bytes method not None, bytes path not None,
                   bytes query not None, bytes body not None, double now_s, double window_s) -> bool:
    """Whether the request is signed with this secret, in time, for this key, and for this body.

    :param path: as sent; :param query: as sent, without the question mark.
    """
    return signed_request(signer, key.encode(), _span(method), _span(path), _span(query), PyBytes_AS_STRING(body),
                          PyBytes_GET_SIZE(body), now_s, window_s)


cdef bint signed_request(Signer signer, bytes key, Span method, Span path, Span query, const char* body,
                         Py_ssize_t body_bytes, double now_s, double window_s) except -1:
    cdef Parameter found[MAX_PARAMETERS]
    cdef char text[MAX_TEXT]
    cdef char hexed[HEX_MD5]
    cdef Py_ssize_t used
    cdef int count = _split(query, found), i
    cdef Parameter* parameter
    cdef Parameter* signature = NULL
    cdef Parameter* given_key = NULL
    cdef Parameter* version = NULL
    cdef Parameter* timestamp = NULL
    cdef Parameter* digest = NULL
    if count < 4 or memchr(path.at, 37, <size_t>path.size) != NULL:  # %
        return False
    if method.size + path.size + query.size + 2 > MAX_TEXT:
        return False
    used = _put(text, 0, method.at, method.size)
    used = _put(text, used, b"\n", 1)
    used = _put(text, used, path.at, path.size)
    used = _put(text, used, b"\n", 1)
    for i in range(count):
        parameter = &found[i]
        if i and _compare(&found[i - 1], parameter) == 0:
            return False
        if _is(parameter, b"auth_signature", 14):
            signature = parameter
            continue
        if text[used - 1] != 10:
            used = _put(text, used, b"&", 1)
        used = _put(text, used, parameter.key, parameter.key_size)
        used = _put(text, used, b"=", 1)
        used = _put(text, used, parameter.value, parameter.value_size)
        if _is(parameter, b"auth_key", 8):
            given_key = parameter
        elif _is(parameter, b"auth_timestamp", 14):
            timestamp = parameter
        elif _is(parameter, b"auth_version", 12):
            version = parameter
        elif _is(parameter, b"body_md5", 8):
            digest = parameter
    if signature == NULL or given_key == NULL or version == NULL or timestamp == NULL:
        return False
    if not _says(given_key, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)) or not _says(version, b"1.0", 3):
        return False
    if not _in_time(timestamp, now_s, window_s):
        return False
    if signature.value_size != HEX_SHA256 or not _signed(signer, text, used, signature.value):
        return False
    if body == NULL:
        return True
    if digest == NULL:
        return body_bytes == 0
    md5_hex(body, <size_t>body_bytes, hexed)
    return _says(digest, hexed, HEX_MD5)


cdef bint _in_time(const Parameter* timestamp, double now_s, double window_s) noexcept:
    cdef double given = 0
    cdef Py_ssize_t i
    if not 0 < timestamp.value_size <= 15:
        return False
    for i in range(timestamp.value_size):
        if not 48 <= timestamp.value[i] <= 57:
            return False
        given = given * 10 + (timestamp.value[i] - 48)
    return abs(given - now_s) <= window_s


cdef bint _signed(Signer signer, const char* text, Py_ssize_t size, const char* given) except -1:
    """The comparison takes the same time wherever the first wrong digit stands."""
    cdef char expected[HEX_SHA256]
    cdef unsigned char difference = 0
    cdef int i
    signer._hex(<const unsigned char*>text, <size_t>size, expected)
    for i in range(HEX_SHA256):
        difference |= <unsigned char>(expected[i] ^ given[i])
    return difference == 0


cdef inline Py_ssize_t _put(char* text, Py_ssize_t at, const char* part, Py_ssize_t size) noexcept:
    memcpy(text + at, part, <size_t>size)
    return at + size


cdef int _split(Span query, Parameter* out) noexcept:
    """The parameters sorted by key; -1 where they are not in the plain form."""
    cdef const char* data = query.at
    cdef Py_ssize_t size = query.size, start = 0, equals = -1, i
    cdef int count = 0, at
    cdef unsigned char c
    cdef Parameter made
    for i in range(size + 1):
        c = <unsigned char>data[i] if i < size else 38
        if c == 38:  # &
            if equals <= start or count == MAX_PARAMETERS:
                return -1
            made.key, made.key_size = data + start, equals - start
            made.value, made.value_size = data + equals + 1, i - equals - 1
            at = count
            while at and _compare(&made, &out[at - 1]) < 0:
                out[at] = out[at - 1]
                at -= 1
            out[at] = made
            count += 1
            start, equals = i + 1, -1
        elif c == 61 and equals < 0:  # =
            equals = i
        elif c == 37 or c == 43 or c >= 128 or c < 33:  # % +
            return -1
        elif equals < 0 and (65 <= c <= 90 or c == 91 or c == 93):  # capitals and brackets in a key
            return -1
    return count
