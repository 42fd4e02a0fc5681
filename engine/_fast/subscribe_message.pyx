"""pusher:subscribe in the form that libraries send, taken from its bytes: no dict, no decoded text that is thrown away.

Says what is asked for, or nothing: whatever has an escape, a repeated or unknown member, or is wrong, is left to
`protocol/messages.py`, which knows every form and every error.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8

from engine._fast.json_text cimport Text, read_key, read_mark, read_string, skip_space, text_is


cdef struct Subscribe:
    Text event, channel, auth
    bint has_data


def read_subscribe(bytes payload not None) -> tuple[str, str] | None:
    """(channel, auth or "")."""
    cdef Subscribe found
    cdef const char* p = PyBytes_AS_STRING(payload)
    cdef const char* end = p + PyBytes_GET_SIZE(payload)
    found.event.at = found.channel.at = found.auth.at = NULL
    found.has_data = False
    p = _object(p, end, &found, False)
    if p == NULL or skip_space(p, end) != end or found.event.at == NULL or found.channel.at == NULL:
        return None
    if not text_is(&found.event, b"pusher:subscribe", 16) or found.channel.size == 0:
        return None
    return (
        PyUnicode_DecodeUTF8(found.channel.at, found.channel.size, NULL),
        "" if found.auth.at == NULL else PyUnicode_DecodeUTF8(found.auth.at, found.auth.size, NULL),
    )


cdef const char* _object(const char* p, const char* end, Subscribe* found, bint inner) noexcept:
    """Behind an object of the members that are known, each named once; NULL for any other."""
    cdef Text key
    p = read_mark(skip_space(p, end), end, 123)  # {
    while p != NULL:
        p = read_key(p, end, &key)
        if p == NULL:
            return NULL
        if not inner and text_is(&key, b"data", 4) and not found.has_data:
            found.has_data = True
            p = _object(p, end, found, True)
        elif not inner and text_is(&key, b"event", 5):
            p = _text(p, end, &found.event)
        elif inner and text_is(&key, b"channel", 7):
            p = _text(p, end, &found.channel)
        elif inner and text_is(&key, b"auth", 4):
            p = _text(p, end, &found.auth)
        else:
            return NULL
        if p == NULL:
            return NULL
        p = skip_space(p, end)
        if p < end and p[0] == 125:  # }
            return p + 1
        p = read_mark(p, end, 44)
    return NULL


cdef const char* _text(const char* p, const char* end, Text* text) noexcept:
    if text.at != NULL:
        return NULL
    p = read_string(p, end, text)
    return NULL if p == NULL or text.escaped else p
