# MD5 of request bodies: a checksum that the protocol asks for (H-3), no protection.

# Writes 32 lower-case hex digits to `out`. No Python object is touched where OpenSSL's own function was found.
cdef int md5_hex(const char* data, size_t size, char* out) except -1
