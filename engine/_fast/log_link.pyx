"""Between the hub of this worker and the log of its host: what is sent goes in, what others sent comes out and is delivered.

Whatever a loop turn sends is one reading here and one wake-up of each other worker. What no subscriber of this worker
wants is passed over without an object being made of it. Knows no Redis and no message but an event.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint64_t

from engine._fast.clock cimport wall_us
from engine._fast.envelope cimport EVENT, TIME, is_text_frame, read_u64, write_u64
from engine._fast.hub cimport Channel, Hub
from engine._fast.shared_log cimport Record, SharedLog

import logging

cdef extern from "unistd.h" nogil:
    ssize_t c_read "read"(int fd, void* data, size_t size)

cdef enum:
    #: Messages delivered in one go; then the loop breathes.
    MOST = 256
    #: What of a message in the log is not its frame: the envelope, the longest place, the lengths.
    AROUND = 2048
    MAX_EXCLUDED = 255

BATCH = MOST

_log = logging.getLogger(__name__)


@cython.final
cdef class LogLink(Queued):
    """:param log: joined by its owner. :param on_other: gets (channel, message) of what is no event.
    :param on_missed: gets how many messages were overwritten before they were read here.
    """

    def __init__(self, SharedLog log not None, Hub hub not None, on_other, on_missed):
        self.log = log
        self._hub = hub
        self._flush_queue = hub.flush_queue
        self._channels = {}
        self._on_other, self._on_missed = on_other, on_missed
        self._go_on_callback = self._go_on

    # --- who listens

    def listen(self, Channel channel not None):
        """Be woken for a channel from now on. What was sent before is not for its subscribers."""
        place = f"{channel.app_id}/{channel.name}"
        if place not in self._channels:
            self.log.want(place.encode())
            self.catch_up()
        self._channels[place] = channel

    def unlisten(self, str app_id not None, str channel not None):
        place = f"{app_id}/{channel}"
        if self._channels.pop(place, None) is not None:
            self.log.unwant(place.encode())

    def overhear(self, heard):
        """:param heard: gets (channel, message) of everything that is delivered, before it is; None: nobody does."""
        self._heard = heard

    # --- sending

    cdef bint fits(self, Py_ssize_t frame_size) noexcept:
        return <uint64_t>(frame_size + AROUND) <= self.log._arena // 4

    cdef bint send(
        self, Traffic traffic, const char* place, Py_ssize_t size, bytes frame, const char* excluded, Py_ssize_t excluded_size
    ) except -1:
        cdef char head[2 + MAX_EXCLUDED + TIME]
        cdef Py_ssize_t i
        if excluded_size > MAX_EXCLUDED:
            raise ValueError("a socket id has at most 255 bytes")
        head[0] = EVENT
        head[1] = <char>excluded_size
        for i in range(excluded_size):
            head[2 + i] = excluded[i]
        write_u64(<unsigned char*>head + 2 + excluded_size, <uint64_t>wall_us())
        if not self.log.put(place, size, head, 2 + excluded_size + TIME, PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame)):
            return False
        traffic.shared += 1
        if not self._dirty:
            self._flush_queue.push(self)
        return True

    def publish(self, str app_id not None, str channel not None, bytes frame not None, str except_socket_id="") -> bool:
        """Send an event to all subscribers but one. False, with nothing done, when it is too long for the log."""
        cdef bytes place = f"{app_id}/{channel}".encode(), excluded = except_socket_id.encode()
        return self.send(
            self._hub.traffic(app_id), PyBytes_AS_STRING(place), PyBytes_GET_SIZE(place), frame,
            PyBytes_AS_STRING(excluded), PyBytes_GET_SIZE(excluded),
        )

    def say(self, str app_id not None, str channel not None, bytes message not None) -> bool:
        """Send what is no event; it is read at once. False as with `publish`."""
        taken = self.log.append(f"{app_id}/{channel}".encode(), message)
        if taken:
            self._hub.traffic(app_id).shared += 1
        self._read()
        return taken

    # --- reading

    def on_woken(self, int waker):
        """Another worker has sent something. :param waker: this worker's eventfd."""
        cdef uint64_t times
        c_read(waker, &times, sizeof(times))
        self._read()

    def read(self):
        """Deliver what is there, then sleep until woken."""
        self._read()

    def catch_up(self):
        """Deliver all that was sent until now."""
        end = self.log.end
        while self.log._position < <uint64_t>end:
            self._deliver_some()

    cdef int flush(self) except -1:
        # Those that work beside this worker can begin while it delivers its own.
        self.log.wake_due()
        return self._read()

    cdef int go_on(self) except -1:
        """Never put off by a queue."""
        return 0

    cdef int fail(self) except -1:
        """What had raised is read by now; the rest is read when something is sent next."""
        return 0

    cdef int _read(self) except -1:
        if self._deliver_some() == MOST or not self.log.sleep():
            if not self._going_on:
                self._going_on = True
                self._flush_queue._call_soon(self._go_on_callback)
        return 0

    def _go_on(self):
        self._going_on = False
        self._read()

    cdef Py_ssize_t _deliver_some(self) except -1:
        cdef Record found
        cdef Py_ssize_t count = 0
        while count < MOST and self.log.next(&found, True):
            count += 1
            self._deliver(&found)
        if self.log.missed != self._missed:
            missed, self._missed = self.log.missed - self._missed, self.log.missed
            self._on_missed(missed)
        return count

    cdef int _deliver(self, const Record* found) except -1:
        cdef const unsigned char* message = <const unsigned char*>found.message
        cdef Py_ssize_t size = found.message_size, skip = 0
        cdef Channel channel
        cdef bytes copied, excluded_id = None
        cdef long long began_us = 0
        channel = <Channel>self._channels.get(PyUnicode_DecodeUTF8(found.topic, found.topic_size, b"replace"))
        if channel is None:
            self.log.is_whole(found)
            return 0
        # What comes before the frame of an event. It may be written over from one look to the next.
        if self._heard is None and size >= 2 and message[0] == EVENT:
            skip = 2 + message[1] + TIME
            if skip > size:
                skip = 0
        copied = PyBytes_FromStringAndSize(<const char*>message + skip, size - skip)
        if skip > 2 + TIME:
            excluded_id = PyBytes_FromStringAndSize(<const char*>message + 2, skip - 2 - TIME)
        if skip:
            began_us = <long long>read_u64(message + skip - TIME)
        if not self.log.is_whole(found):
            return 0
        if skip == 0:
            if self._heard is not None:
                self._heard(channel, copied)
            self._on_other(channel, copied)
        elif not is_text_frame(<const unsigned char*>PyBytes_AS_STRING(copied), PyBytes_GET_SIZE(copied)):
            # Left to whom it is counted by.
            self._on_other(channel, b"\x01")
        else:
            excluded = None if excluded_id is None else self._hub.get(excluded_id.decode("ascii", "replace"))
            channel.traffic.delivered += 1
            self._hub.deliver(channel, copied, excluded, began_us)
        return 0
