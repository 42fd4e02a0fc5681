# MD5 of request bodies and SHA-1 of handshakes' keys: checksums that the protocols ask for (H-3, RFC 6455), no protection.

# Writes 32 lower-case hex digits to `out`. No Python object is touched where OpenSSL's own function was found.
cdef int md5_hex(const char* data, size_t size, char* out) except -1

# Writes 20 bytes.
cdef int sha1(const char* data, size_t size, unsigned char* out) except -1
