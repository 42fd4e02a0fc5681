"""Signature of an HTTP API request in the form that every official library sends (H-3, H-4).

Says yes, or nothing at all: whatever is escaped, repeated, in arrays, in capitals or simply wrong is left to
`protocol/api_auth.py`, which knows every form and every error.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memchr, memcmp, memcpy

from engine._fast.digest cimport md5_hex
from engine._fast.hexed cimport same_digits

cdef enum:
    MAX_PARAMETERS = 16
    MAX_TEXT = 4096
    HEX_SHA256 = 64
    HEX_MD5 = 32


# What a byte of a query is.
cdef enum:
    PLAIN
    IN_VALUES       # capitals and brackets
    EQUALS
    BETWEEN         # &
    ODD             # what is escaped or has no place there

cdef unsigned char _kinds[256]

for _byte in range(256):
    if _byte < 33 or _byte >= 128 or chr(_byte) in "%+":
        _kinds[<int>_byte] = ODD
    elif chr(_byte) == "=":
        _kinds[<int>_byte] = EQUALS
    elif chr(_byte) == "&":
        _kinds[<int>_byte] = BETWEEN
    elif "A" <= chr(_byte) <= "Z" or chr(_byte) in "[]":
        _kinds[<int>_byte] = IN_VALUES


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
    cdef const char* run = NULL      # parameters that follow each other in the query as they do in what is signed
    cdef const char* run_end = NULL
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
        if run != NULL and parameter.key == run_end + 1:
            # As it was sent: signed and unsigned text agree on it, with the `&` before it.
            run_end = parameter.value + parameter.value_size
        else:
            used = _put_run(text, used, run, run_end)
            run, run_end = parameter.key, parameter.value + parameter.value_size
        if _is(parameter, b"auth_key", 8):
            given_key = parameter
        elif _is(parameter, b"auth_timestamp", 14):
            timestamp = parameter
        elif _is(parameter, b"auth_version", 12):
            version = parameter
        elif _is(parameter, b"body_md5", 8):
            digest = parameter
    used = _put_run(text, used, run, run_end)
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
    return digest.value_size == HEX_MD5 and same_digits(digest.value, hexed, HEX_MD5)


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
    cdef char expected[HEX_SHA256]
    signer._hex(<const unsigned char*>text, <size_t>size, expected)
    return same_digits(expected, given, HEX_SHA256)


cdef inline Py_ssize_t _put(char* text, Py_ssize_t at, const char* part, Py_ssize_t size) noexcept:
    memcpy(text + at, part, <size_t>size)
    return at + size


cdef inline Py_ssize_t _put_run(char* text, Py_ssize_t at, const char* run, const char* run_end) noexcept:
    if run == NULL:
        return at
    if text[at - 1] != 10:
        at = _put(text, at, b"&", 1)
    return _put(text, at, run, run_end - run)


cdef int _split(Span query, Parameter* out) noexcept:
    """The parameters sorted by key; -1 where they are not in the plain form."""
    cdef const unsigned char* p = <const unsigned char*>query.at
    cdef const unsigned char* end = p + query.size
    cdef const unsigned char* key
    cdef const unsigned char* value
    cdef int count = 0, at
    cdef Parameter made
    while count < MAX_PARAMETERS:
        key = p
        while p < end and _kinds[p[0]] == PLAIN:
            p += 1
        if p == end or p == key or p[0] != 61:  # =
            return -1
        value = p + 1
        p += 1
        while p < end and _kinds[p[0]] < BETWEEN:
            p += 1
        if p < end and p[0] != 38:  # &
            return -1
        made.key, made.key_size = <const char*>key, value - 1 - key
        made.value, made.value_size = <const char*>value, p - value
        at = count
        while at and _compare(&made, &out[at - 1]) < 0:
            out[at] = out[at - 1]
            at -= 1
        out[at] = made
        count += 1
        if p == end:
            return count
        p += 1
    return -1
