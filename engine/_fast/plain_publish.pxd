# Publishes that need nothing but to be checked, sent and answered with "{}".

from engine._fast.awaited_link cimport Awaited, AwaitedCounts, AwaitedLink
from engine._fast.counting cimport AllSizes, Sizes
from engine._fast.hub cimport Hub
from engine._fast.llhttp cimport Head, Span
from engine._fast.log_link cimport LogLink
from engine._fast.publish_body cimport Body, Event
from engine._fast.json_text cimport Text
from engine._fast.publish_target cimport Target
from engine._fast.queues cimport Queued, ReadQueue
from engine._fast.registry cimport Registry
from engine._fast.signature cimport Signer
from engine._fast.traffic cimport Traffic


# What is asked of an application for each publish, taken from its engine.app.App once.
cdef class PlainApp:
    cdef object app
    cdef long long known_at             # of the register's changes: when it was last seen to be the one
    cdef bytes key
    cdef bytes prefix                   # "id/", as the hub's names of its channels begin
    cdef Signer signer, previous        # previous: None where there is none
    cdef Traffic traffic
    cdef Sizes durations
    cdef AwaitedCounts awaited          # None where nothing is awaited
    cdef bint usable                    # nothing of it needs Python
    cdef Py_ssize_t max_name, max_channels, max_channel_name, max_data, max_batch


cdef class PlainPublisher:
    cdef Registry _registry             # and by_id(str) -> App or None
    cdef Hub _hub
    cdef LogLink _link                  # None: there is no other worker, or
    cdef readonly AwaitedLink awaited   # what answers later; None where nothing does
    cdef AllSizes _durations            # of requests in seconds, by application
    cdef object _now_s                  # () -> seconds since the epoch; None: the time of day
    cdef double _window_s
    cdef dict _apps                     # id -> PlainApp
    cdef PlainApp _last                 # of the last publish
    cdef Body _body
    cdef Awaited _request               # the one that is being sent, where its messages are awaited

    # Whether the request was published; then the usual answer is due, at once or, where
    # messages are awaited, when what `take` gives has ended. False: nothing was done, and nothing is wrong yet.
    # :param clock_ns: of the monotonic clock, when this request began; 0 for now. It is moved to the end of a publish.
    cdef bint publish(self, const Target* target, const Head* head, const char* body, long long* clock_ns) except -1
    # What the request that was published waits for, to be asked where messages are awaited. :param waiter: goes on by `later`
    # when that has ended, never at once.
    cdef Awaited take(self, Queued waiter, ReadQueue later)
    cdef PlainApp _app(self, Span name)
    cdef PlainApp _look_up(self, Span name)
    cdef bint _is_signed(self, PlainApp app, const Target* target, const char* body, Py_ssize_t body_bytes) except -1
    cdef bint _may_publish(self, PlainApp app, bint batch) except -1
    cdef int _send(self, PlainApp app, const Event* event) except -1
    cdef bint _came_before(self, const Event* event, int place) noexcept
