"""Every connection and channel of this worker, and who is in which.

Subscribing and leaving are O(1); a broadcast is one C loop over a channel's entries. No rule is here: who may subscribe
and who is notified is decided in ws/; other workers are reached by the adapter, which calls `Channel.broadcast` here.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from engine._fast.clock cimport monotonic_s, wall_us
from engine._fast.connection cimport Connection
from engine._fast.queues cimport FlushQueue
from engine._fast.traffic cimport Traffic

from os import urandom

cdef enum:
    #: Frames held for one subscription while Redis confirms it; more than that means a stalled confirmation on a
    #: busy channel, and the client is asked to come again rather than given a stream with a hole.
    MAX_HELD = 1024
    #: Asked of the system at a time.
    RANDOM_BYTES = 4096

#: Each half of a socket id (C-14).
cdef unsigned long long MAX_ID_PART = 10000000000

#: For ws/rosters.py, which remembers as many changes.
MAX_HELD_FRAMES = MAX_HELD


@cython.final
@cython.no_gc
cdef class Channel:
    """The subscribers of one channel on this worker.

    The garbage collector does not look at it: a pause of a worker would grow with its channels. The one cycle that it
    may be in, with its `Pending`s, each of those ends.
    """

    def __init__(self, str name not None, Traffic traffic not None):
        self.app_id = traffic.app_id
        self.name = name
        self.traffic = traffic

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.count):
            Py_DECREF(<object>self.entries[i].connection)
        PyMem_Free(self.entries)

    def __len__(self):
        """Acknowledged and pending subscriptions."""
        return self.count + (len(self._pending) if self._pending is not None else 0)

    cdef int add(self, Connection connection, uint64_t since) except -1:
        cdef Py_ssize_t capacity
        cdef Entry* entries
        if self.count == self.capacity:
            capacity = self.capacity * 2 if self.capacity else 4
            entries = <Entry*>PyMem_Realloc(self.entries, capacity * sizeof(Entry))
            if entries == NULL:
                raise MemoryError
            self.entries = entries
            self.capacity = capacity
        self.entries[self.count].connection = <PyObject*>connection
        self.entries[self.count].slot = connection.slot_count
        self.entries[self.count].since = since
        connection.add_slot(self, <uint32_t>self.count)
        Py_INCREF(connection)
        self.count += 1
        return 0

    cdef int remove(self, Connection connection, uint32_t slot) except -1:
        cdef uint32_t index = connection.slots[slot].index
        cdef Connection moved
        # Changes nothing if it raises; nothing after it can.
        connection.remove_slot(slot)
        if slot < connection.slot_count:
            # The connection's last channel took the free slot; its entry has to know.
            (<Channel>connection.slots[slot].channel).entries[connection.slots[slot].index].slot = slot
        self.count -= 1
        if index != <uint32_t>self.count:
            self.entries[index] = self.entries[self.count]
            moved = <Connection>self.entries[index].connection
            moved.slots[self.entries[index].slot].index = index
        Py_DECREF(connection)
        if self.capacity > 64 and self.count * 4 < self.capacity:
            self._shrink()
        return 0

    def _shrink(self):
        cdef Entry* entries = <Entry*>PyMem_Realloc(self.entries, self.capacity // 2 * sizeof(Entry))
        if entries != NULL:
            self.entries = entries
            self.capacity //= 2

    cpdef Py_ssize_t broadcast(self, bytes frame, Connection excluded=None, uint64_t version=0) except -1:
        """Queue a finished frame for every subscriber but one.

        :param version: of the membership change in the frame (0: an ordinary event); subscribers whose
            roster already has it are passed over.
        :return: how many subscribers there were.
        """
        cdef Py_ssize_t i, count = self.count
        cdef Entry* entries = self.entries
        cdef PyObject* skipped = <PyObject*>excluded
        cdef PyObject* shared = <PyObject*>frame
        for i in range(count):
            if entries[i].connection == skipped or (version != 0 and entries[i].since >= version):
                continue
            (<Connection>entries[i].connection).put(shared)
        if self._pending is not None:
            for pending in self._pending:
                (<Pending>pending).hold(frame, excluded, version)
        return count

    cpdef Py_ssize_t deliver_kept(
        self, bytes frame, Connection excluded, uint32_t stream, uint64_t serial
    ) except -1:
        """Broadcast an event that the channel's history keeps, to subscribers that did not get it by a replay.

        :param stream: distinguishes streams of the channel; :param serial: grows by one with each event of a stream.
        """
        cdef list pending = self._pending
        cdef Py_ssize_t count
        self._seen_stream, self._seen_serial = stream, serial
        if self._ahead is None:
            self._pending = None
            try:
                count = self.broadcast(frame, excluded, 0)
            finally:
                self._pending = pending
        else:
            count = self._broadcast_behind(frame, excluded, stream, serial)
        if pending is not None:
            for each in pending:
                (<Pending>each).hold_kept(frame, excluded, stream, serial)
        return count

    cdef Py_ssize_t _broadcast_behind(
        self, bytes frame, Connection excluded, uint32_t stream, uint64_t serial
    ) except -1:
        """Pass over connections that are ahead of this event; forget those that are not ahead any more."""
        cdef dict ahead = {
            connection: mark for connection, mark in self._ahead.items() if mark[0] == stream and mark[1] >= serial
        }
        cdef Py_ssize_t i, count = self.count
        for i in range(count):
            connection = <object>self.entries[i].connection
            if connection is not excluded and connection not in ahead:
                (<Connection>connection).put(<PyObject*>frame)
        self._ahead = {
            connection: mark for connection, mark in ahead.items() if mark[1] > serial
        } or None
        return count

    cdef int _note_ahead(self, Connection connection, uint32_t stream, uint64_t serial) except -1:
        """The connection was given everything up to this event, of which this worker may not have heard yet."""
        if self._seen_stream == stream and self._seen_serial >= serial:
            return 0
        if self._ahead is None:
            self._ahead = {}
        self._ahead[connection] = (stream, serial)
        return 0

    def connections(self) -> list:
        """The acknowledged subscribers now."""
        return [<object>self.entries[i].connection for i in range(self.count)]


@cython.final
@cython.no_gc
cdef class Pending:
    """One subscription between the client's request and its acknowledgement."""

    def __init__(self, Channel channel not None, Connection connection not None):
        self.channel = channel
        self.connection = connection
        if channel._pending is None:
            channel._pending = []
        channel._pending.append(self)

    cdef int hold(self, bytes frame, Connection excluded, uint64_t version) except -1:
        if excluded is self.connection:
            return 0
        if self._held is None:
            self._held = []
        if len(self._held) >= MAX_HELD:
            self.overflowed = True
            return 0
        self._held.append((version, frame))
        return 0

    cdef int hold_kept(self, bytes frame, Connection excluded, uint32_t stream, uint64_t serial) except -1:
        cdef Py_ssize_t before = 0 if self._held is None else len(self._held)
        self.hold(frame, excluded, 0)
        if self._held is not None and len(self._held) > before:
            if self._marks is None:
                self._marks = {}
            self._marks[before] = (stream, serial)
        return 0

    cpdef cancel(self):
        """Forget it: the client left, asked to leave, or was refused."""
        if not self.cancelled:
            self.cancelled = True
            self._detach()

    def activate(
        self, uint64_t since, list frames not None, bytes first=None, bint provisional=False, tuple replayed=None
    ):
        """Make the subscription live.

        Queues `frames` (the acknowledgement and what belongs to it), then what was held meanwhile, then goes live,
        with nothing lost or doubled in between.

        :param since: the roster's version; held member changes up to it are dropped.
        :param provisional: the roster may be wrong; no later correction is passed over, whatever its version.
        :param first: the cached event among `frames`, if any; a held copy of it is dropped.
        :param replayed: stream and serial of the newest event that the history had; all up to it are among `frames`
            or were not asked for, and do not come again.
        """
        if self.cancelled:
            return
        self._detach()
        self.cancelled = True
        for frame in frames:
            self.connection.send(frame)
        if replayed is not None:
            self._drop_replayed(replayed)
            self.channel._note_ahead(self.connection, replayed[0], replayed[1])
        for version, frame in self._held or ():
            if version == 0 and first is not None and frame == first:
                first = None
            elif version == 0 or version > since:
                self.connection.send(frame)
        self.channel.add(self.connection, 0 if provisional else since)

    def _drop_replayed(self, tuple replayed):
        marks = self._marks or {}
        dropped = {at for at, mark in marks.items() if mark[0] == replayed[0] and mark[1] <= replayed[1]}
        if dropped:
            self._held = [each for at, each in enumerate(self._held) if at not in dropped]

    def _detach(self):
        self.channel._pending.remove(self)
        if not self.channel._pending:
            self.channel._pending = None


@cython.final
cdef class Hub:
    """The connections and channels of one worker.

    :param latency_of: (app id, channel, 0 to 4) -> histogram of milliseconds for broadcasts to at most 10, 100, 1,000,
        10,000 and more subscribers. Without one nothing is timed.
    """

    def __init__(self, FlushQueue flush_queue not None, latency_of=None):
        self.flush_queue = flush_queue
        self._latency_of = latency_of
        self._channels = {}
        self._connections = {}
        self._traffic = {}
        self._random = b""

    # --- connections

    def new_socket_id(self) -> str:
        """Two random numbers with a dot between, which no connection here has (C-14)."""
        cdef unsigned long long parts[2]
        cdef char text[48]
        while True:
            if self._random_at + 16 > len(self._random):
                self._random, self._random_at = urandom(RANDOM_BYTES), 0
            memcpy(parts, PyBytes_AS_STRING(self._random) + self._random_at, 16)
            self._random_at += 16
            # More random bits than the range needs, so that the remainders are even enough.
            snprintf(text, 48, "%llu.%llu", parts[0] % MAX_ID_PART, parts[1] % MAX_ID_PART)
            socket_id = text.decode("ascii")
            if socket_id not in self._connections:
                return socket_id

    def traffic(self, str app_id not None) -> Traffic:
        """The counters of an application, made on first use."""
        found = self._traffic.get(app_id)
        if found is None:
            found = self._traffic[app_id] = Traffic(app_id)
        return found

    def all_traffic(self) -> list:
        return list(self._traffic.values())

    def add(self, Connection connection not None):
        self._connections[connection.socket_id] = connection

    def discard(self, Connection connection not None):
        """Forget it. It is in no channel any more, whatever went wrong where it should have left."""
        self._connections.pop(connection.socket_id, None)
        while connection.slot_count:
            (<Channel>connection.slots[connection.slot_count - 1].channel).remove(connection, connection.slot_count - 1)

    def get(self, str socket_id) -> Connection:
        """The connection of that id on this worker, or None."""
        return self._connections.get(socket_id)

    def connections(self) -> list:
        return list(self._connections.values())

    def __len__(self):
        return len(self._connections)

    # --- channels

    def channel(self, str app_id not None, str name not None) -> Channel:
        """The channel if this worker has subscribers or pending ones, else None."""
        return self._channels.get(app_id + "/" + name)

    def open(self, str app_id not None, str name not None) -> Channel:
        """The channel, made if need be. Pair with `close_if_empty`."""
        key = app_id + "/" + name
        found = self._channels.get(key)
        if found is None:
            found = self._channels[key] = Channel(name, self.traffic(app_id))
        return found

    def close_if_empty(self, Channel channel not None) -> bool:
        """Forget the channel when nobody is in it or on the way into it; whether that was so."""
        if channel.count or channel._pending is not None:
            return False
        return self._channels.pop(channel.app_id + "/" + channel.name, None) is not None

    def subscribed(self, Connection connection not None, Channel channel) -> bool:
        """Whether the connection's subscription to the channel is live."""
        return channel is not None and connection.find_slot(channel) >= 0

    def leave(self, Connection connection not None, Channel channel not None) -> bool:
        """End a live subscription; whether there was one."""
        cdef int slot = connection.find_slot(channel)
        if slot < 0:
            return False
        channel.remove(connection, <uint32_t>slot)
        if channel._ahead is not None:
            channel._ahead.pop(connection, None)
        return True

    def channels_of(self, Connection connection not None) -> list:
        return [<object>connection.slots[i].channel for i in range(connection.slot_count)]

    cpdef int deliver(self, Channel channel, bytes frame, Connection excluded, long long began_us=0) except -1:
        """Broadcast an event that was published at `began_us` (0: now) to this worker's subscribers but one."""
        return self.note_broadcast(channel, channel.broadcast(frame, excluded, 0), excluded, began_us)

    cpdef int note_broadcast(
        self, Channel channel, Py_ssize_t subscribers, Connection excluded, long long began_us
    ) except -1:
        """An event that was published at `began_us` (0: now) has been queued for so many but one, and is to be timed."""
        cdef int size_class = 0
        cdef Py_ssize_t most = 10
        if subscribers == 0 or self._latency_of is None:
            return 0
        if subscribers == 1 and excluded is not None and channel.entries[0].connection == <PyObject*>excluded:
            return 0
        while subscribers > most and size_class < 4:
            most *= 10
            size_class += 1
        if channel._latency is None or channel._size_class != size_class:
            channel._latency = self._latency_of(channel.app_id, channel.name, size_class)
            channel._size_class = size_class
        return self.flush_queue.time(channel._latency, began_us or wall_us())

    # --- one sweep for all sockets

    def sweep(self, bytes ping not None, bytes page_ping not None, uint32_t activity_timeout_s, uint32_t pong_timeout_s):
        """Ping the silent, and find those that did not answer.

        :param page_ping: what pages are sent instead.
        :return: (connections whose pong is overdue, how many were pinged)
        """
        cdef uint32_t now = monotonic_s(), idle
        cdef Connection connection
        cdef list silent = []
        cdef Py_ssize_t pinged = 0
        for connection in self._connections.values():
            idle = now - connection.last_activity
            if connection._closing:
                continue
            if connection.pinged:
                if idle >= pong_timeout_s:
                    silent.append(connection)
            elif idle >= activity_timeout_s:
                connection.ping(page_ping if connection.is_page else ping)
                pinged += 1
        return silent, pinged
