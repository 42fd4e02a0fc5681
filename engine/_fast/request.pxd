# Signatures of plain requests.

from engine._fast.llhttp cimport Span
from engine._fast.signature cimport Signer


# Runs for each publish. :param body: NULL to leave the digest out of it (for what comes before the body does).
cdef bint signed_request(Signer signer, bytes key, Span method, Span path, Span query, const char* body,
                         Py_ssize_t body_bytes, double now_s, double window_s) except -1
