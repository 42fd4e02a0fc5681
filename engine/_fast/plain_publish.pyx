"""Publishes in the form that libraries send, from bytes to frames: no dict, no coroutine, no decoded text.

Says yes and does it, or says nothing and has done nothing: whatever is refused, or asks for more than to be sent, is left
to `http/events.py`, which knows every form and every error. Both hand on the same bytes of an event's name and data.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memchr, memcmp, memcpy

from engine._fast.awaited_link cimport Awaited, AwaitedLink
from engine._fast.clock cimport monotonic_ns, wall_us
from engine._fast.counting cimport AllSizes, Sizes
from engine._fast.frame cimport event_frame
from engine._fast.hub cimport Channel
from engine._fast.json_text cimport text_begins
from engine._fast.publish_body cimport read_body
from engine._fast.request cimport signed_request

cdef enum:
    MAX_APP_ID = 128
    #: Longest "app/channel" that is looked up here.
    MAX_KEY = 1024
    #: Applications whose limits are kept at hand; those that are used come back at once.
    MAX_APPS = 10000

#: Which bytes a channel's name may hold (N-3).
cdef unsigned char _in_names[256]
#: What begins a channel whose last event is kept.
_CACHES = (b"cache-", b"private-cache-", b"private-encrypted-cache-", b"presence-cache-")

for _allowed in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-=@,.;:":
    _in_names[<int>ord(_allowed)] = 1


@cython.final
cdef class PlainApp:
    def __init__(self, app not None, Traffic traffic not None, Sizes durations not None):
        self.app = app
        self.key = app.key.encode()
        self.prefix = f"{app.id}/".encode()
        self.signer, self.previous = app.signer, app.previous_signer
        self.traffic, self.durations = traffic, durations
        # The answer to a limited application shows what is left.
        self.usable = app.enabled and app.max_backend_events_per_second == 0
        self.max_name, self.max_channels = app.max_event_name_length, app.max_event_channels
        # Of an application that keeps the events of some channels, each name needs a closer look.
        self.max_channel_name = 0 if app.history else app.max_channel_name_length
        self.max_data = app.max_event_bytes
        self.max_batch = app.max_event_batch_size


@cython.final
cdef class PlainPublisher:
    """Publishes to the channels of this worker, which is the only one, to those of all workers of this host, or to all there are.

    :param registry: the applications; its `by_id` is asked after each change.
    :param now_s: seconds since the epoch, None for the time of day; :param window_s: how far a request's timestamp may be
        from it.
    :param durations: of requests in seconds, by application.
    :param link: to the other workers; None where there are none, or where messages to them are :param awaited:.
    """

    def __init__(self, Registry registry not None, Hub hub not None, now_s, double window_s, AllSizes durations not None,
                 LogLink link=None, AwaitedLink awaited=None):
        self._link, self.awaited = link, awaited
        self._registry = registry
        self._hub = hub
        self._now_s = now_s
        self._window_s = window_s
        self._durations = durations
        self._apps = {}

    cdef bint publish(self, const Target* target, const Head* head, const char* body, long long* clock_ns) except -1:
        cdef PlainApp app
        cdef long long began_ns = clock_ns[0] or monotonic_ns()
        cdef int i
        app = self._app(target.app_id)
        if app is None or not app.usable or not read_body(body, head.body_bytes, target.batch, &self._body):
            return False
        if self._link is not None and not self._link.fits(head.body_bytes):
            return False
        if not self._may_publish(app, target.batch) or not self._is_signed(app, target, body, head.body_bytes):
            return False
        if self.awaited is not None:
            self._request = Awaited.__new__(Awaited)
            self._request.under_way = 1
            self._request.traffic, self._request.durations = app.traffic, app.durations
            self._request.body_bytes, self._request.began_ns = head.body_bytes, began_ns
        for i in range(self._body.count):
            self._send(app, &self._body.events[i])
        if self.awaited is not None:
            return True
        app.traffic.publishes += 1
        app.traffic.publish_received_bytes += head.body_bytes
        app.traffic.publish_sent_bytes += 2
        clock_ns[0] = monotonic_ns()
        app.durations.note((clock_ns[0] - began_ns) / 1e9)
        return True

    cdef Awaited take(self, Queued waiter, ReadQueue later):
        cdef Awaited request = self._request
        self._request = None
        request.waiter, request.later = waiter, later
        request.note(None)
        return request

    cdef PlainApp _app(self, Span name):
        """The application of that id, as it is now; None where none is known by an id that looks so."""
        cdef PlainApp last = self._last
        if (
            last is None or self._registry.stale or last.known_at != self._registry.changes
            or name.size != PyBytes_GET_SIZE(last.prefix) - 1
            or memcmp(name.at, PyBytes_AS_STRING(last.prefix), <size_t>name.size) != 0
        ):
            last = self._look_up(name)
            if last is not None:
                self._last = last
        return last

    cdef PlainApp _look_up(self, Span name):
        cdef PlainApp known
        if not 0 < name.size <= MAX_APP_ID or memchr(name.at, 37, <size_t>name.size) != NULL:  # %
            return None
        app_id = PyUnicode_DecodeUTF8(name.at, name.size, b"replace")
        app = None if self._registry.stale else self._registry.by_id(app_id)
        if app is None:
            return None
        known = <PlainApp>self._apps.get(app_id)
        if known is None or known.app is not app:
            if len(self._apps) >= MAX_APPS:
                self._apps.clear()
            known = self._apps[app_id] = PlainApp(app, self._hub.traffic(app_id), self._durations.of(app_id))
            if self.awaited is not None:
                known.awaited = self.awaited.counts_of(app_id)
        known.known_at = self._registry.changes
        return known

    cdef bint _is_signed(self, PlainApp app, const Target* target, const char* body, Py_ssize_t body_bytes) except -1:
        cdef double now_s = wall_us() / 1e6 if self._now_s is None else self._now_s()
        cdef Span method = Span(b"POST", 4)
        if signed_request(
            app.signer, app.key, method, target.path, target.query, body, body_bytes, now_s, self._window_s
        ):
            return True
        return app.previous is not None and signed_request(
            app.previous, app.key, method, target.path, target.query, body, body_bytes, now_s, self._window_s
        )

    cdef bint _may_publish(self, PlainApp app, bint batch) except -1:
        """Whether all that was read keeps the application's limits, and no rule needs a closer look (H-40 to H-45)."""
        cdef const Event* event
        cdef const Text* name
        cdef int i, j
        if batch and self._body.count > app.max_batch:
            return False
        for i in range(self._body.count):
            event = &self._body.events[i]
            if event.name.size == 0 or event.name.characters > app.max_name:
                return False
            # Names of classes hold backslashes. One that may stand for a reserved prefix needs a closer look.
            if event.name.escaped and (event.name.at[0] == 92 or event.name.at[0] == 112):  # \\ p
                return False
            if event.channels > app.max_channels or event.data.utf8_bytes > app.max_data:
                return False
            if text_begins(&event.name, b"pusher:", 7) or text_begins(&event.name, b"pusher_internal:", 16):
                return False
            if event.socket_id.size and not _is_socket_id(event.socket_id):
                return False
            for j in range(event.first_channel, event.first_channel + event.channels):
                name = &self._body.channels[j]
                if not _is_plain_channel(name, app.max_channel_name) and not _is_kept_nowhere(app, name):
                    return False
                if PyBytes_GET_SIZE(app.prefix) + name.size > MAX_KEY:
                    return False
        return True

    cdef int _send(self, PlainApp app, const Event* event) except -1:
        cdef char key[MAX_KEY]
        cdef Py_ssize_t skip = PyBytes_GET_SIZE(app.prefix)
        cdef const Text* channel
        cdef Channel found
        cdef int i
        excluded = None
        if event.socket_id.size and self._link is None and self.awaited is None:
            excluded = self._hub.get(event.socket_id.at[:event.socket_id.size].decode("ascii"))
        memcpy(key, PyBytes_AS_STRING(app.prefix), <size_t>skip)
        for i in range(event.channels):
            channel = &self._body.channels[event.first_channel + i]
            if i and self._came_before(event, i):
                continue
            memcpy(key + skip, channel.at, <size_t>channel.size)
            if self.awaited is not None:
                self.awaited.send(
                    app.awaited, key, skip + channel.size, event_frame(&event.name, channel, &event.data),
                    event.socket_id.at, event.socket_id.size, self._request,
                )
                continue
            app.traffic.broadcasts += 1
            if self._link is not None:
                self._link.send(
                    app.traffic, key, skip + channel.size, event_frame(&event.name, channel, &event.data),
                    event.socket_id.at, event.socket_id.size,
                )
                continue
            found = <Channel>self._hub._channels.get(PyUnicode_DecodeUTF8(key, skip + channel.size, NULL))
            if found is not None:
                self._hub.deliver(found, event_frame(&event.name, channel, &event.data), excluded)
        return 0

    cdef bint _came_before(self, const Event* event, int place) noexcept:
        """A channel named twice gets the event once (H-16)."""
        cdef const Text* channel = &self._body.channels[event.first_channel + place]
        cdef const Text* other
        cdef int i
        for i in range(place):
            other = &self._body.channels[event.first_channel + i]
            if other.size == channel.size and memcmp(other.at, channel.at, <size_t>other.size) == 0:
                return True
        return False


cdef bint _is_plain_channel(const Text* name, Py_ssize_t longest) except -1:
    """A valid name (N-3, N-4) of a channel whose events are not kept; a user's own (U-8) is looked at elsewhere."""
    cdef Py_ssize_t i
    if not 0 < name.size <= longest:
        return False
    for i in range(name.size):
        if not _in_names[<unsigned char>name.at[i]]:
            return False
    if name.at[0] == 112 or name.at[0] == 99:  # p, c
        for prefix in _CACHES:
            if text_begins(name, PyBytes_AS_STRING(prefix), PyBytes_GET_SIZE(prefix)):
                return False
    return True


cdef bint _is_kept_nowhere(PlainApp app, const Text* name) except -1:
    """A plain channel none of whose events the application's rules keep; asked where it has any."""
    if app.max_channel_name or not _is_plain_channel(name, app.app.max_channel_name_length):
        return False
    return app.app.history_rule(name.at[:name.size].decode("ascii")) is None


cdef bint _is_socket_id(Span text) noexcept:
    """Two numbers of at most 64 digits with a dot between them (C-14)."""
    cdef Py_ssize_t i, digits = 0, dots = 0
    for i in range(text.size):
        if text.at[i] == 46:  # .
            if digits == 0 or dots:
                return False
            dots, digits = 1, 0
        elif 48 <= text.at[i] <= 57 and digits < 64:
            digits += 1
        else:
            return False
    return dots == 1 and digits > 0
