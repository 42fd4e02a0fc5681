# HMAC-SHA256 with the key schedule prepared once (RFC 2104 section 4). Used for every private subscription,
# every signed HTTP request and every webhook.

cdef class Signer:
    # The hash states after the inner and the outer key block; a signature starts from copies of both.
    cdef unsigned char _inner[256]
    cdef unsigned char _outer[256]
    # Only where the process has no SHA-256 of OpenSSL to be found: the key for the standard library.
    cdef bytes _key

    # Writes 32 bytes to `digest`. No Python object is touched on the fast route.
    cdef int _digest(self, const unsigned char* data, size_t length, unsigned char* digest) except -1

    # Writes 64 lower-case hex digits to `out`.
    cdef int _hex(self, const unsigned char* data, size_t length, char* out) except -1
