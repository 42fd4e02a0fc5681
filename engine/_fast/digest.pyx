"""MD5 by the OpenSSL that Python's `_hashlib` has loaded, found as `signature.pyx` finds its own; else by `hashlib`.

MD5 is what the protocol has for bodies: never use it to protect anything else.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.string cimport memcpy

import hashlib

from engine._fast.hexed cimport hexed
from engine._fast.native cimport function_of, library_of

ctypedef unsigned char* (*md5_fn)(const void* data, size_t size, unsigned char* out) noexcept nogil

cdef md5_fn _md5 = NULL


cdef int md5_hex(const char* data, size_t size, char* out) except -1:
    cdef unsigned char digest[16]
    if _md5 == NULL or _md5(data, size, digest) == NULL:
        found = hashlib.md5(data[:size], usedforsecurity=False).digest()
        memcpy(digest, PyBytes_AS_STRING(found), 16)
    hexed(digest, 16, out)
    return 0


cdef int _find() except -1:
    """Take OpenSSL's function if it is right about the text "abc" (RFC 1321, A.5)."""
    global _md5
    cdef char out[32]
    _md5 = <md5_fn>function_of(library_of("_hashlib"), "MD5")
    md5_hex(b"abc", 3, out)
    if out[:32] != b"900150983cd24fb0d6963f7d28e17f72":
        _md5 = NULL
    return 0


_find()
