"""Signature of an HTTP API request in the form that every official library sends (H-3, H-4).

Says yes, or nothing at all: whatever is escaped, repeated, in arrays, in capitals or simply wrong is left to
`protocol/api_auth.py`, which knows every form and every error.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcmp, memcpy

from engine._fast.signature cimport Signer

import hashlib

cdef enum:
    MAX_PARAMETERS = 16
    MAX_TEXT = 4096
    HEX_SHA256 = 64


cdef struct Parameter:
    const char* key
    Py_ssize_t key_size
    const char* value
    Py_ssize_t value_size


cdef inline int _compare(const Parameter* a, const Parameter* b) noexcept:
    cdef int order = memcmp(a.key, b.key, <size_t>min(a.key_size, b.key_size))
    return order if order else (-1 if a.key_size < b.key_size else <int>(a.key_size > b.key_size))


cdef inline bint _is(const Parameter* parameter, const char* name, Py_ssize_t size) noexcept:
    return parameter.key_size == size and memcmp(parameter.key, name, <size_t>size) == 0


def signed_plainly(Signer signer not None, str key not None, bytes method not None, bytes path not None,
                   bytes query not None, bytes body not None, double now_s, double window_s) -> bool:
    """Whether the request is signed with this secret, in time, for this key, and for this body.

    :param path: as sent; :param query: as sent, without the question mark.
    """
    cdef Parameter found[MAX_PARAMETERS]
    cdef char text[MAX_TEXT]
    cdef Py_ssize_t used
    cdef int count = _split(query, found), i
    cdef Parameter* parameter
    cdef Parameter* signature = NULL
    cdef bytes given_key = None, version = None, timestamp = None, digest = None
    if count < 4 or path.find(b"%") >= 0:
        return False
    used = PyBytes_GET_SIZE(method) + PyBytes_GET_SIZE(path) + PyBytes_GET_SIZE(query) + 2
    if used > MAX_TEXT:
        return False
    used = _put(text, 0, PyBytes_AS_STRING(method), PyBytes_GET_SIZE(method))
    used = _put(text, used, b"\n", 1)
    used = _put(text, used, PyBytes_AS_STRING(path), PyBytes_GET_SIZE(path))
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
            given_key = parameter.value[:parameter.value_size]
        elif _is(parameter, b"auth_timestamp", 14):
            timestamp = parameter.value[:parameter.value_size]
        elif _is(parameter, b"auth_version", 12):
            version = parameter.value[:parameter.value_size]
        elif _is(parameter, b"body_md5", 8):
            digest = parameter.value[:parameter.value_size]
    if signature == NULL or signature.value_size != HEX_SHA256 or not _signed(signer, text, used, signature.value):
        return False
    if given_key is None or given_key != key.encode() or version != b"1.0" or timestamp is None:
        return False
    if len(timestamp) > 15 or not timestamp.isdigit() or abs(<double>int(timestamp) - now_s) > window_s:
        return False
    if digest is None:
        return not body
    return digest == hashlib.md5(body, usedforsecurity=False).hexdigest().encode()


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


cdef int _split(bytes query, Parameter* out) except -2:
    """The parameters sorted by key; -1 where they are not in the plain form."""
    cdef const char* data = PyBytes_AS_STRING(query)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(query), start = 0, equals = -1, i
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
