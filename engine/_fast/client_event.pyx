"""Client events in the form that libraries send, from a message to the frame of its channel: no dict and no decoded text.

Says yes and does it, or says nothing and has done nothing: whatever is refused, or asks for more than to be sent, is left
to `ws/client_events.py`, which knows every form and every error. Both hand on the same bytes.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memcpy

from engine._fast.awaited_link cimport AwaitedCounts, AwaitedLink
from engine._fast.clock cimport monotonic_s
from engine._fast.connection cimport Connection
from engine._fast.counting cimport Count
from engine._fast.frame cimport spliced_frame
from engine._fast.hub cimport Channel, Hub
from engine._fast.json_text cimport Text, read_key, read_mark, read_string, skip_space, skip_value, text_begins, text_is
from engine._fast.log_link cimport LogLink

import orjson

cdef enum:
    #: Longest "app/channel" that is looked up here.
    MAX_KEY = 1024
    #: Data that is nested deeper, or has a number of more characters, gets the closer look of the other path.
    MAX_DEPTH = 32
    MAX_NUMBER = 20


@cython.final
cdef class ClientRules:
    """What is asked of an application for each client event, taken from its engine.app.App once."""

    cdef object app
    cdef bytes prefix           # "id/", as the hub's names of its channels begin
    cdef Count accepted
    cdef AwaitedCounts awaited  # None where no answers come
    cdef bint usable, reported
    cdef Py_ssize_t max_name, max_data
    cdef long per_second        # 0: as many as there are

    def __init__(self, app not None, Count accepted not None, bint usable, bint reported):
        self.app, self.accepted, self.usable, self.reported = app, accepted, usable, reported
        self.prefix = f"{app.id}/".encode()
        self.max_name, self.max_data = app.max_event_name_length, app.max_event_bytes
        self.per_second = app.max_client_events_per_second


cdef struct ClientEvent:
    Text name, channel
    const char* data            # a JSON value as it lies
    Py_ssize_t data_size


@cython.final
cdef class PlainClientEvents:
    """:param link: to the other workers, or :param awaited: to them by a road that answers; None where there are none.
    :param accepted: client events, by application.
    :param plain: whether an application's client events need no more than to be sent and, perhaps, reported to webhooks.
    :param reported: whether some endpoint of an application wants to hear of client events.
    :param report: ``(app, channel, event, data as JSON, socket id, user id or None)`` does that.
    :ivar report: None to leave such client events to the other path, for who has to see them all; set before there are any.
    """

    cdef Hub _hub
    cdef LogLink _link
    cdef AwaitedLink _awaited
    cdef object _accepted, _plain, _reported
    cdef public object report
    cdef dict _rules            # application id -> ClientRules
    cdef ClientRules _last

    def __init__(self, Hub hub not None, LogLink link, accepted not None, plain not None, reported not None, report=None,
                 AwaitedLink awaited=None):
        self._hub, self._link, self._awaited = hub, link, awaited
        self._accepted, self._plain, self._reported, self.report = accepted, plain, reported, report
        self._rules = {}

    def take(self, Connection connection not None, bytes payload not None) -> bool:
        """Whether it was a client event that was sent to the others."""
        cdef ClientEvent event
        cdef ClientRules rules = self._last
        cdef Channel channel
        cdef char key[MAX_KEY]
        cdef Py_ssize_t size
        if not _read(PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), &event):
            return False
        if rules is None or rules.app is not connection.app:
            rules = self._rules_of(connection.app)
        if not rules.usable or event.name.characters > rules.max_name or event.data_size > rules.max_data:
            return False
        size = PyBytes_GET_SIZE(rules.prefix) + event.channel.size
        if size > MAX_KEY or (self._link is not None and not self._link.fits(PyBytes_GET_SIZE(payload))):
            return False
        memcpy(key, PyBytes_AS_STRING(rules.prefix), <size_t>PyBytes_GET_SIZE(rules.prefix))
        memcpy(key + PyBytes_GET_SIZE(rules.prefix), event.channel.at, <size_t>event.channel.size)
        channel = <Channel>self._hub._channels.get(PyUnicode_DecodeUTF8(key, size, NULL))
        if channel is None or connection.find_slot(channel) < 0:
            return False
        if rules.per_second and not count_event(connection.state, rules.per_second):
            return False
        user_id = _sender(connection, &event)
        self._send(connection, channel, key, size, _frame(&event, user_id))
        rules.accepted.grow(1)
        if rules.reported:
            self.report(
                connection.app, channel.name, event.name.at[:event.name.size].decode(), event.data[:event.data_size],
                connection.socket_id, user_id,
            )
        return True

    cdef int _send(self, Connection sender, Channel channel, const char* key, Py_ssize_t size, bytes frame) except -1:
        cdef bytes socket_id
        if self._link is None and self._awaited is None:
            self._hub.deliver(channel, frame, sender)
            return 0
        socket_id = sender.socket_id.encode()
        if self._awaited is not None:
            self._awaited.send(
                self._last.awaited, key, size, frame, PyBytes_AS_STRING(socket_id), PyBytes_GET_SIZE(socket_id), None
            )
        else:
            self._link.send(channel.traffic, key, size, frame, PyBytes_AS_STRING(socket_id), PyBytes_GET_SIZE(socket_id))
        return 0

    cdef ClientRules _rules_of(self, app):
        """The rules of the application as it is now."""
        rules = <ClientRules>self._rules.get(app.id)
        if rules is None or (<ClientRules>rules).app is not app:
            reported = self._reported(app)
            usable = self._plain(app) and (self.report is not None or not reported)
            rules = self._rules[app.id] = ClientRules(app, self._accepted.of(app.id), usable, reported)
            if self._awaited is not None:
                (<ClientRules>rules).awaited = self._awaited.counts_of(app.id)
        self._last = rules
        return rules


cpdef bint count_event(state, long per_second) except -1:
    """Whether the connection may send one more in this second (E-8); then it is counted."""
    second = monotonic_s()
    if state.event_window_s != second:
        state.event_window_s, state.event_count = second, 0
    if state.event_count >= per_second:
        return False
    state.event_count += 1
    return True


cdef str _sender(Connection connection, const ClientEvent* event):
    """On presence channels who has sent it (E-9)."""
    if event.channel.at[1] == 114 and event.channel.at[2] == 101:  # "presence-", not "private-"
        member = connection.state.member(event.channel.at[:event.channel.size].decode())
        if member is not None:
            return member.user_id
    return None


cdef bytes _frame(const ClientEvent* event, str user_id):
    """As `messages.client_event` spells it."""
    cdef bytes suffix = b"}" if user_id is None else b',"user_id":' + orjson.dumps(user_id) + b"}"
    cdef Py_ssize_t a = event.name.size, b = event.channel.size
    cdef bytes prefix = PyBytes_FromStringAndSize(NULL, 10 + a + 13 + b + 9)
    cdef char* out = PyBytes_AS_STRING(prefix)
    memcpy(out, b'{"event":"', 10)
    memcpy(out + 10, event.name.at, <size_t>a)
    memcpy(out + 10 + a, b'","channel":"', 13)
    memcpy(out + 23 + a, event.channel.at, <size_t>b)
    memcpy(out + 23 + a + b, b'","data":', 9)
    return spliced_frame(prefix, PyBytes_FromStringAndSize(event.data, event.data_size), suffix)


cdef bint _read(const char* p, Py_ssize_t size, ClientEvent* event) noexcept:
    """Whether it is an object of exactly these three members, each named once, in any order."""
    cdef const char* end = p + size
    cdef Text key
    event.name.at = event.channel.at = event.data = NULL
    p = read_mark(skip_space(p, end), end, 123)  # {
    while True:
        p = NULL if p == NULL else read_key(p, end, &key)
        if p == NULL:
            return False
        if text_is(&key, b"event", 5) and event.name.at == NULL:
            p = read_string(p, end, &event.name)
        elif text_is(&key, b"channel", 7) and event.channel.at == NULL:
            p = read_string(p, end, &event.channel)
        elif text_is(&key, b"data", 4) and event.data == NULL:
            event.data = p
            p = skip_value(p, end, 1)
            event.data_size = p - event.data
        else:
            return False
        if p == NULL:
            return False
        p = skip_space(p, end)
        if p < end and p[0] == 125:  # }
            break
        p = read_mark(p, end, 44)
    if skip_space(p + 1, end) != end or event.name.at == NULL or event.channel.at == NULL or event.data == NULL:
        return False
    if event.name.escaped or event.channel.escaped or not text_begins(&event.name, b"client-", 7):
        return False
    if not text_begins(&event.channel, b"private-", 8) and not text_begins(&event.channel, b"presence-", 9):
        return False
    return event.data[0] == 34 or _is_simple(event.data, event.data + event.data_size)


cdef bint _is_simple(const char* p, const char* end) noexcept:
    """Whether a valid value is one that every reader of JSON takes: not nested deeply, without numbers that may be too large."""
    cdef Text text
    cdef int depth = 0
    cdef Py_ssize_t digits
    while p < end:
        if p[0] == 34:
            p = read_string(p, end, &text)
            continue
        if p[0] == 123 or p[0] == 91:
            depth += 1
            if depth > MAX_DEPTH:
                return False
        elif p[0] == 125 or p[0] == 93:
            depth -= 1
        elif 48 <= p[0] <= 57:
            digits = 0
            while p < end and (48 <= p[0] <= 57 or p[0] == 46):
                digits += 1
                p += 1
            if digits > MAX_NUMBER or (p < end and (p[0] == 101 or p[0] == 69)):  # e E
                return False
            continue
        p += 1
    return True
