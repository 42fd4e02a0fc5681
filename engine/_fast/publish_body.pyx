"""Reads the bodies of plain publishes (H-11, H-13); says yes, or nothing at all, and leaves the rest to `http/events.py`."""

from libc.string cimport memcmp

from engine._fast.json_text cimport read_key, read_mark, read_string, skip_space, text_is

cdef enum:
    NAME = 1
    DATA = 2
    CHANNELS = 4
    SOCKET_ID = 8


cdef bint read_body(const char* data, Py_ssize_t size, bint batch, Body* body) noexcept nogil:
    cdef const char* end = data + size
    cdef const char* p = skip_space(data, end)
    body.count, body.channel_count = 0, 0
    p = _batch(p, end, body) if batch else _event(p, end, False, body)
    return p != NULL and skip_space(p, end) == end


cdef const char* _batch(const char* p, const char* end, Body* body) noexcept nogil:
    cdef Text key
    p = read_mark(p, end, 123)  # {
    p = NULL if p == NULL else read_key(p, end, &key)
    if p == NULL or not text_is(&key, b"batch", 5):
        return NULL
    p = read_mark(p, end, 91)  # [
    while p != NULL:
        p = _event(p, end, True, body)
        if p == NULL:
            return NULL
        p = skip_space(p, end)
        if p < end and p[0] == 93:  # ]
            return read_mark(skip_space(p + 1, end), end, 125)
        p = read_mark(p, end, 44)
    return NULL


cdef const char* _event(const char* p, const char* end, bint in_batch, Body* body) noexcept nogil:
    cdef Event* event
    cdef Text key, value
    cdef int seen = 0, which
    if body.count == MAX_EVENTS:
        return NULL
    event = &body.events[body.count]
    body.count += 1
    event.first_channel, event.channels = body.channel_count, 0
    event.socket_id.at, event.socket_id.size = p, 0
    p = read_mark(p, end, 123)
    while p != NULL:
        p = read_key(p, end, &key)
        if p == NULL:
            return NULL
        which = _which(&key, in_batch)
        if which == 0 or seen & which:
            return NULL
        seen |= which
        if which == CHANNELS and key.size == 8:
            p = _channels(p, end, body)
        elif which == SOCKET_ID and end - p >= 4 and memcmp(p, b"null", 4) == 0:
            p += 4
        else:
            p = read_string(p, end, &value)
            if p == NULL:
                return NULL
            if which == NAME:
                event.name = value
            elif which == DATA:
                event.data = value
            elif which == SOCKET_ID:
                if value.escaped or value.size == 0:
                    return NULL
                event.socket_id.at, event.socket_id.size = value.at, value.size
            elif not _add(&value, body):
                return NULL
        if p == NULL:
            return NULL
        p = skip_space(p, end)
        if p < end and p[0] == 125:
            event.channels = body.channel_count - event.first_channel
            if seen & (NAME | DATA | CHANNELS) != NAME | DATA | CHANNELS or event.channels == 0:
                return NULL
            return p + 1
        p = read_mark(p, end, 44)
    return NULL


cdef int _which(const Text* key, bint in_batch) noexcept nogil:
    if text_is(key, b"name", 4):
        return NAME
    if text_is(key, b"data", 4):
        return DATA
    if text_is(key, b"channel", 7) or (not in_batch and text_is(key, b"channels", 8)):
        return CHANNELS
    return SOCKET_ID if text_is(key, b"socket_id", 9) else 0


cdef const char* _channels(const char* p, const char* end, Body* body) noexcept nogil:
    cdef Text value
    p = read_mark(p, end, 91)
    while p != NULL:
        p = read_string(p, end, &value)
        if p == NULL or not _add(&value, body):
            return NULL
        p = skip_space(p, end)
        if p < end and p[0] == 93:
            return p + 1
        p = read_mark(p, end, 44)
    return NULL


cdef bint _add(const Text* channel, Body* body) noexcept nogil:
    if body.channel_count == MAX_CHANNELS or channel.escaped:
        return False
    body.channels[body.channel_count] = channel[0]
    body.channel_count += 1
    return True
