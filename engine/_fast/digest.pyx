"""MD5 and SHA-1 by the OpenSSL that Python's `_hashlib` has loaded, found as `signature.pyx` finds its own; else by `hashlib`.

They are what the protocols have for bodies and for handshakes: never use them to protect anything else.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.string cimport memcpy

import hashlib

from engine._fast.hexed cimport hexed
from engine._fast.native cimport function_of, library_of

ctypedef unsigned char* (*digest_fn)(const void* data, size_t size, unsigned char* out) noexcept nogil

cdef digest_fn _md5 = NULL
cdef digest_fn _sha1 = NULL


cdef int md5_hex(const char* data, size_t size, char* out) except -1:
    cdef unsigned char digest[16]
    if _md5 == NULL or _md5(data, size, digest) == NULL:
        found = hashlib.md5(data[:size], usedforsecurity=False).digest()
        memcpy(digest, PyBytes_AS_STRING(found), 16)
    hexed(digest, 16, out)
    return 0


cdef int sha1(const char* data, size_t size, unsigned char* out) except -1:
    if _sha1 == NULL or _sha1(data, size, out) == NULL:
        found = hashlib.sha1(data[:size], usedforsecurity=False).digest()
        memcpy(out, PyBytes_AS_STRING(found), 20)
    return 0


cdef int _find() except -1:
    """Take OpenSSL's functions if they are right about the text "abc" (RFC 1321, A.5; RFC 3174, 7.3)."""
    global _md5, _sha1
    cdef char out[32]
    cdef void* library = library_of("_hashlib")
    _md5 = <digest_fn>function_of(library, "MD5")
    md5_hex(b"abc", 3, out)
    if out[:32] != b"900150983cd24fb0d6963f7d28e17f72":
        _md5 = NULL
    _sha1 = <digest_fn>function_of(library, "SHA1")
    sha1(b"abc", 3, <unsigned char*>out)
    if out[:20].hex() != "a9993e364706816aba3e25717850c26c9cd0d89d":
        _sha1 = NULL
    return 0


_find()
