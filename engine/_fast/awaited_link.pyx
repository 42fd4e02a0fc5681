"""Between what C publishes and a road that answers each message later, as Redis does: what is under way, and for whom.

Knows no Redis: the road is handed topics, envelopes, and of each message something that it treats as a future. What it does
not take is delivered here alone, or is the publisher's to hear of, as `adapter/redis.py` has it for what Python publishes.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII, PyUnicode_DecodeUTF8
from libc.string cimport memcpy

from engine._fast.clock cimport monotonic_ns
from engine._fast.envelope cimport Event, event_envelope, find_event
from engine._fast.recent_events cimport RecentEvents


@cython.final
cdef class AwaitedCounts:
    def __init__(self, metrics not None, str app_id not None):
        self.sent, self.taken = metrics.sent.of(app_id), metrics.resolved.of(app_id)
        self.failed, self.lost = metrics.failed.of(app_id), metrics.lost.of(app_id)
        self.took_ms = metrics.resolve_time_ms.of(app_id)


@cython.final
@cython.freelist(64)
cdef class Awaited:
    cdef int note(self, object error) except -1:
        """One message less is under way. :param error: why it was not taken, None when it was."""
        if error is not None:
            self.error = error
        self.under_way -= 1
        if self.under_way == 0:
            # Not at once: the road is in the midst of its answers, and the waiter may be in the midst of sending.
            self.later.put_off(self.waiter)
        return 0

    cdef bint end(self) except -1:
        if self.error is not None:
            return False
        self.traffic.broadcasts += self.messages
        self.traffic.publishes += 1
        self.traffic.publish_received_bytes += self.body_bytes
        self.traffic.publish_sent_bytes += 2
        self.durations.note((monotonic_ns() - self.began_ns) / 1e9)
        return True


@cython.final
@cython.freelist(64)
cdef class AwaitedMessage:
    """As `asyncio.Future`, for who only ends it."""

    def done(self):
        return self._done

    def set_result(self, receivers):
        """It was taken."""
        if self._done:
            return
        self._done = True
        self.counts.taken.grow(1)
        self.counts.took_ms.note((monotonic_ns() - self.began_ns) / 1e6)
        if self.request is not None:
            self.request.note(None)

    def set_exception(self, error not None):
        """It was not taken, or nobody knows whether it was."""
        if self._done:
            return
        self._done = True
        self.counts.failed.grow(1)
        if self.request is None:
            self.counts.lost.grow(1)
        if self.link._fallback:
            self.link._deliver_here(self, error.may_be_taken)
            error = None
        if self.request is not None:
            self.request.note(error)


@cython.final
cdef class AwaitedLink:
    """:param carry: ``(topic, envelope, message)`` sends it, and ends the message by `set_result` or `set_exception`, now or
        later.
    :param topic_prefix: before "app/channel".
    :param fallback: what is not taken is delivered to this worker's own subscribers, and counts as published.
    :param metrics: `AdapterMetrics`.
    :param recent: says what of that they have heard already.
    """

    def __init__(self, Hub hub not None, carry not None, bytes topic_prefix not None, bint fallback, metrics not None,
                 RecentEvents recent not None):
        self._hub, self._carry, self._recent = hub, carry, recent
        self._prefix, self._fallback = topic_prefix, fallback
        self._metrics = metrics
        self._counts = {}

    cdef AwaitedCounts counts_of(self, str app_id):
        found = self._counts.get(app_id)
        if found is None:
            found = self._counts[app_id] = AwaitedCounts(self._metrics, app_id)
        return found

    cdef int send(
        self, AwaitedCounts counts, const char* place, Py_ssize_t size, bytes frame, const char* excluded,
        Py_ssize_t excluded_size, Awaited request
    ) except -1:
        cdef AwaitedMessage message = AwaitedMessage.__new__(AwaitedMessage)
        cdef Py_ssize_t skip = PyBytes_GET_SIZE(self._prefix)
        cdef bytes topic = PyBytes_FromStringAndSize(NULL, skip + size)
        memcpy(PyBytes_AS_STRING(topic), PyBytes_AS_STRING(self._prefix), <size_t>skip)
        memcpy(PyBytes_AS_STRING(topic) + skip, place, <size_t>size)
        message.link, message.counts, message.request = self, counts, request
        message.envelope = event_envelope(excluded, excluded_size, frame)
        if self._fallback:
            # Needed only where it is not taken.
            message.place = PyUnicode_DecodeUTF8(place, size, NULL)
        message.began_ns = monotonic_ns()
        counts.sent.grow(1)
        if request is not None:
            request.messages += 1
            request.under_way += 1
        self._carry(topic, message.envelope, message)
        return 0

    cdef int _deliver_here(self, AwaitedMessage message, bint may_be_taken) except -1:
        cdef Channel found = <Channel>self._hub._channels.get(message.place)
        cdef Event event
        if found is None or not find_event(
            PyBytes_AS_STRING(message.envelope), PyBytes_GET_SIZE(message.envelope), &event
        ):
            return 0
        if self._recent.is_missing(found, &event, may_be_taken):
            excluded = None
            if event.excluded_size:
                excluded = self._hub.get(PyUnicode_DecodeASCII(event.excluded, event.excluded_size, "replace"))
            self._hub.deliver(found, PyBytes_FromStringAndSize(event.frame, event.frame_size), excluded)
        return 0
