"""Takes the target of a publish apart; what the application's id may be is not looked at."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memchr, memcmp


cdef bint read_target(Span target, bytes prefix, Target* out) noexcept:
    cdef const char* mark = <const char*>memchr(target.at, 63, <size_t>target.size)  # ?
    cdef const char* slash
    cdef Py_ssize_t skip = PyBytes_GET_SIZE(prefix), rest
    out.path = Span(target.at, target.size if mark == NULL else mark - target.at)
    out.query = Span(target.at + target.size, 0) if mark == NULL else Span(mark + 1, target.size - out.path.size - 1)
    if out.path.size <= skip or memcmp(target.at, PyBytes_AS_STRING(prefix), <size_t>skip) != 0:
        return False
    slash = <const char*>memchr(target.at + skip, 47, <size_t>(out.path.size - skip))  # /
    if slash == NULL:
        return False
    out.app_id = Span(target.at + skip, slash - target.at - skip)
    rest = out.path.size - skip - out.app_id.size
    out.batch = rest == 13
    return (rest == 7 and memcmp(slash, b"/events", 7) == 0) or (
        rest == 13 and memcmp(slash, b"/batch_events", 13) == 0
    )
