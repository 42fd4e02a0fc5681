"""MD5 by the OpenSSL that Python's `_hashlib` has loaded, found as in `signature.pyx`; else by `hashlib`."""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.string cimport memcpy

import hashlib

cdef extern from "dlfcn.h" nogil:
    void* dlopen(const char* filename, int flags)
    void* dlsym(void* handle, const char* symbol)
    int RTLD_LAZY

cdef const char* _HEX = b"0123456789abcdef"
ctypedef unsigned char* (*md5_fn)(const void* data, size_t size, unsigned char* out) noexcept nogil

cdef md5_fn _md5 = NULL


cdef int md5_hex(const char* data, size_t size, char* out) except -1:
    cdef unsigned char digest[16]
    cdef int i
    if _md5 == NULL or _md5(data, size, digest) == NULL:
        found = hashlib.md5(data[:size], usedforsecurity=False).digest()
        memcpy(digest, PyBytes_AS_STRING(found), 16)
    for i in range(16):
        out[2 * i] = _HEX[digest[i] >> 4]
        out[2 * i + 1] = _HEX[digest[i] & 15]
    return 0


def md5(bytes data not None) -> str:
    """32 lower-case hex digits."""
    cdef char out[32]
    md5_hex(PyBytes_AS_STRING(data), <size_t>len(data), out)
    return out[:32].decode()


cdef int _find() except -1:
    global _md5
    cdef void* library
    try:
        import _hashlib
    except ImportError:
        return 0
    path = getattr(_hashlib, "__file__", None)
    encoded = path.encode() if path else None
    library = dlopen(<const char*>encoded if encoded is not None else NULL, RTLD_LAZY)
    if library == NULL:
        return 0
    _md5 = <md5_fn>dlsym(library, "MD5")
    if md5(b"abc") != "900150983cd24fb0d6963f7d28e17f72":
        _md5 = NULL
    return 0


_find()
