"""HMAC-SHA256 over OpenSSL's own SHA-256, for signatures that are made and checked all day with few keys.

OpenSSL is the copy that Python's `_hashlib` has loaded already: its functions are looked up at import, so that
neither headers nor a second library are needed. Where they cannot be found (a Python built without OpenSSL, or
with it linked in invisibly), the standard library's `hmac.digest` does the same work more slowly.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeASCII
from libc.string cimport memcpy, memset

import hashlib
import hmac

from engine._fast.hexed cimport hexed, same_digits
from engine._fast.native cimport function_of, library_of

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)

# SHA256_CTX is 112 bytes in every OpenSSL since 0.9.8; the states in `signature.pxd` leave room to spare.
ctypedef int (*sha_init_fn)(void* state) noexcept nogil
ctypedef int (*sha_update_fn)(void* state, const void* data, size_t length) noexcept nogil
ctypedef int (*sha_final_fn)(unsigned char* digest, void* state) noexcept nogil

cdef sha_init_fn _sha_init = NULL
cdef sha_update_fn _sha_update = NULL
cdef sha_final_fn _sha_final = NULL

cdef enum:
    BLOCK = 64
    DIGEST = 32


cdef int _find_openssl() except -1:
    global _sha_init, _sha_update, _sha_final
    cdef void* library = library_of("_hashlib")
    _sha_init = <sha_init_fn>function_of(library, "SHA256_Init")
    _sha_update = <sha_update_fn>function_of(library, "SHA256_Update")
    _sha_final = <sha_final_fn>function_of(library, "SHA256_Final")
    return 0


cdef bint _usable():
    """Whether the functions found agree with the standard library on a message of several blocks."""
    cdef unsigned char state[256]
    cdef unsigned char digest[DIGEST]
    if _sha_init == NULL or _sha_update == NULL or _sha_final == NULL:
        return False
    message = bytes(range(200))
    _sha_init(state)
    _sha_update(state, PyBytes_AS_STRING(message), 200)
    _sha_final(digest, state)
    return digest[:DIGEST] == hashlib.sha256(message).digest()


_find_openssl()
cdef bint _openssl = _usable()


@cython.final
cdef class Signer:
    """Signs with one secret.

    :param secret: the application's secret; text is taken as UTF-8.
    """

    def __init__(self, secret):
        cdef unsigned char block[BLOCK]
        cdef bytes key = secret.encode() if isinstance(secret, str) else bytes(secret)
        self._key = key
        if not _openssl:
            return
        if PyBytes_GET_SIZE(key) > BLOCK:
            key = hashlib.sha256(key).digest()
        memset(block, 0x36, BLOCK)
        for i in range(len(key)):
            block[i] ^= <unsigned char>key[i]
        _sha_init(self._inner)
        _sha_update(self._inner, block, BLOCK)
        for i in range(BLOCK):
            block[i] ^= 0x36 ^ 0x5C
        _sha_init(self._outer)
        _sha_update(self._outer, block, BLOCK)
        self._key = None

    cdef int _digest(self, const unsigned char* data, size_t length, unsigned char* digest) except -1:
        cdef unsigned char state[256]
        if _openssl:
            memcpy(state, self._inner, 128)
            _sha_update(state, data, length)
            _sha_final(digest, state)
            memcpy(state, self._outer, 128)
            _sha_update(state, digest, DIGEST)
            _sha_final(digest, state)
        else:
            result = hmac.digest(self._key, <bytes>data[:length], "sha256")
            memcpy(digest, PyBytes_AS_STRING(result), DIGEST)
        return 0

    cdef int _hex(self, const unsigned char* data, size_t length, char* out) except -1:
        cdef unsigned char digest[DIGEST]
        self._digest(data, length, digest)
        hexed(digest, DIGEST, out)
        return 0

    def hex(self, bytes data not None) -> str:
        """The signature of `data`: 64 lower-case hex digits."""
        cdef char out[2 * DIGEST]
        self._hex(<const unsigned char*>PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data), out)
        return PyUnicode_DecodeASCII(out, 2 * DIGEST, NULL)

    def verify(self, bytes data not None, signature) -> bool:
        """Whether `signature` (str or bytes) is the lower-case hex signature of `data`.

        The comparison takes the same time wherever the first wrong digit stands.
        """
        cdef char out[2 * DIGEST]
        cdef const char* given
        cdef Py_ssize_t size
        if isinstance(signature, str):
            # Of text in ASCII these are the bytes that it consists of, without a copy.
            if not PyUnicode_IS_ASCII(signature):
                return False
            given = PyUnicode_AsUTF8AndSize(signature, &size)
        elif isinstance(signature, bytes):
            given, size = PyBytes_AS_STRING(signature), PyBytes_GET_SIZE(signature)
        else:
            raise TypeError("a signature is text or bytes")
        if size != 2 * DIGEST:
            return False
        self._hex(<const unsigned char*>PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data), out)
        return same_digits(out, given, 2 * DIGEST)

    def __reduce__(self):
        raise TypeError("a Signer holds key material and is never serialized")


def implementation() -> str:
    """``openssl`` or, where it could not be found, ``hmac``."""
    return "openssl" if _openssl else "hmac"
