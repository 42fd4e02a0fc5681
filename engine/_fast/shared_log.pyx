"""One log in memory that all workers of a host share: any of them appends, each reads at its own pace.

No worker can hold up another, wherever it is stopped or killed: a message is written into its writer's own arena first,
and becomes visible by one compare-and-swap of the next place in the log. Places are filled one after the other, so
there is one order for all readers. Nothing waits for a reader and nothing grows: one that falls too far behind
passes over what it missed and is given the number.

    control    the number of the next place; for each worker whether it sleeps, and the end of its arena
    interest   for each hash of a topic a bit for each worker: whom a message wakes
    places     lap: 16 bits · worker: 6 bits · position in its arena, in units of 8 bytes: 42 bits
    arenas     one for each worker: u32 length of topic · u32 length of message · topic · message
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

import mmap

# All in one total order, which acquire and release do not give: who goes to sleep writes and then looks, who appends
# does the same the other way round, and one of them must see the other, on processors that reorder more than x86 too.
cdef extern from *:
    """
    #define log_load(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
    #define log_store(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
    #define log_swap(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
    #define log_or(p, v) __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
    #define log_and(p, v) __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
    #define log_fence() __atomic_thread_fence(__ATOMIC_SEQ_CST)
    #define log_read_fence() __atomic_thread_fence(__ATOMIC_ACQUIRE)
    static inline int log_replace(uint64_t *place, uint64_t expected, uint64_t value) {
        return __atomic_compare_exchange_n(place, &expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    """
    uint64_t log_load(uint64_t* place) nogil
    void log_store(uint64_t* place, uint64_t value) nogil
    uint64_t log_swap(uint64_t* place, uint64_t value) nogil
    uint64_t log_or(uint64_t* place, uint64_t value) nogil
    uint64_t log_and(uint64_t* place, uint64_t value) nogil
    void log_fence() nogil
    void log_read_fence() nogil     # enough for who has read and asks then whether that was still there
    bint log_replace(uint64_t* place, uint64_t expected, uint64_t value) nogil

cdef extern from "unistd.h" nogil:
    ssize_t c_write "write"(int fd, const void* data, size_t size)

cdef enum:
    LINE = 64               # bytes of a cache line: what different workers write is kept apart
    CONTROL = LINE * (1 + MAX)
    TOPICS = 4096           # hashes of topics; two topics with one hash cost a needless wake-up
    HEAD = 8

MAX_WORKERS = MAX


def log_bytes(int workers, Py_ssize_t places, Py_ssize_t arena_bytes) -> int:
    """Size of the memory, which begins as zeros. Both sizes are powers of two."""
    return CONTROL + TOPICS * 8 + places * 8 + workers * arena_bytes


cdef class SharedLog:
    """One worker's hold on it.

    :param memory_fd: of `log_bytes` bytes. :param wakers: each worker's eventfd. :param me: this worker's number.
    :ivar missed: messages that were overwritten before this worker had read them.
    """

    def __init__(self, int memory_fd, list wakers not None, int me, Py_ssize_t places, Py_ssize_t arena_bytes):
        cdef char* base
        self._workers = <int>len(wakers)
        if not 0 <= me < self._workers <= MAX or places & (places - 1) or arena_bytes & (arena_bytes - 1):
            raise ValueError("a log is for up to 64 workers, with sizes that are powers of two")
        self._map = mmap.mmap(memory_fd, log_bytes(self._workers, places, arena_bytes))
        self._view = self._map
        for at, waker in enumerate(wakers):
            self._waker_fds[at] = waker
        self._wanted = {}
        self._me = me
        self._mask, self._arena = <uint64_t>places - 1, <uint64_t>arena_bytes
        self._lap_shift = <int>(places - 1).bit_length()
        base = <char*>&self._view[0]
        self._next_place = <uint64_t*>base
        self._desks = <Desk*>(base + LINE)
        self._interest = <uint64_t*>(base + CONTROL)
        self._places = self._interest + TOPICS
        self._arenas = <char*>(self._places + places)

    def join(self):
        """Begin to read with what is appended from now on, wanting nothing; what a dead predecessor wanted is forgotten."""
        cdef Py_ssize_t i
        for i in range(TOPICS):
            log_and(&self._interest[i], ~(<uint64_t>1 << self._me))
        log_store(&self._desks[self._me].asleep, 0)
        self._announced_all_at = self._desks[self._me].end
        self._position = log_load(self._next_place)

    def want(self, bytes topic not None):
        """Wake this worker for messages of the topic. To be paired with `unwant`."""
        cdef uint32_t key = _hash(PyBytes_AS_STRING(topic), PyBytes_GET_SIZE(topic))
        self._wanted[key] = self._wanted.get(key, 0) + 1
        log_or(&self._interest[key], <uint64_t>1 << self._me)

    def unwant(self, bytes topic not None):
        cdef uint32_t key = _hash(PyBytes_AS_STRING(topic), PyBytes_GET_SIZE(topic))
        self._wanted[key] -= 1
        if not self._wanted[key]:
            del self._wanted[key]
            log_and(&self._interest[key], ~(<uint64_t>1 << self._me))

    def append(self, bytes topic not None, bytes message not None) -> bool:
        """Every worker that reads will come upon it, this one included, and those that want it are woken. False when it is
        too long for this log."""
        taken = self.put(
            PyBytes_AS_STRING(topic), PyBytes_GET_SIZE(topic), NULL, 0, PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message)
        )
        self.wake_due()
        return taken

    cdef bint put(
        self, const char* topic, Py_ssize_t topic_size, const char* head, Py_ssize_t head_size, const char* rest,
        Py_ssize_t rest_size,
    ) noexcept:
        cdef uint64_t a = <uint64_t>topic_size, b = <uint64_t>(head_size + rest_size)
        cdef uint64_t size = (HEAD + a + b + 7) & ~<uint64_t>7
        cdef Desk* desk = &self._desks[self._me]
        cdef uint64_t at = desk.end
        cdef char* out
        if size > self._arena // 4:
            return False
        if at % self._arena + size > self._arena:
            at += self._arena - at % self._arena
        # First of all: a reader of what is overwritten now will see that the end has moved.
        log_store(&desk.end, at + size)
        log_fence()
        out = self._arenas + <uint64_t>self._me * self._arena + at % self._arena
        (<uint32_t*>out)[0], (<uint32_t*>out)[1] = <uint32_t>a, <uint32_t>b
        memcpy(out + HEAD, topic, a)
        if head_size:
            memcpy(out + HEAD + a, head, <size_t>head_size)
        memcpy(out + HEAD + a + head_size, rest, <size_t>rest_size)
        self._show(at)
        self._due |= log_load(&self._interest[_hash(topic, topic_size)])
        # Now and then all are woken, so that those that want nothing do not fall behind.
        self._since_announced_all += 1
        if (
            at + size - self._announced_all_at > self._arena // 8
            or self._since_announced_all * self._workers > self._mask // 8
        ):
            self._announced_all_at, self._since_announced_all = at + size, 0
            self._due = ~<uint64_t>0
            self.wake_due()
        return True

    cdef void wake_due(self) noexcept:
        cdef uint64_t one = 1, who = self._due & ~(<uint64_t>1 << self._me)
        cdef int i
        self._due = 0
        if who == 0:
            return
        for i in range(self._workers):
            if who >> i & 1 and log_load(&self._desks[i].asleep) and log_swap(&self._desks[i].asleep, 0):
                # It can only fail for a worker that was woken very often and read nothing: it will see this too.
                c_write(self._waker_fds[i], &one, sizeof(one))

    def take(self, Py_ssize_t limit) -> list:
        """The next messages in order, wanted or not, as (topic, message), at most `limit` of them."""
        cdef list taken = []
        cdef Record found
        while len(taken) < limit and self.next(&found, False):
            topic = PyBytes_FromStringAndSize(found.topic, found.topic_size)
            message = PyBytes_FromStringAndSize(found.message, found.message_size)
            if self.is_whole(&found):
                taken.append((topic, message))
        return taken

    cdef bint next(self, Record* found, bint wanted_only) noexcept:
        cdef uint64_t value, behind, who, at, me = <uint64_t>1 << self._me
        cdef const char* data
        while True:
            value = log_load(&self._places[self._position & self._mask])
            behind = ((value >> 48) - _lap(self._position, self._lap_shift)) & 0xFFFF
            if behind == 0xFFFF:
                return False  # still of the lap before
            if behind:
                self._skip()
                continue
            self._position += 1
            who, at = value >> 42 & (MAX - 1), value << 3
            data = self._arenas + who * self._arena + at % self._arena
            found.topic, found.topic_size = data + HEAD, (<uint32_t*>data)[0]
            found.message, found.message_size = data + HEAD + found.topic_size, (<uint32_t*>data)[1]
            found.who, found.at = who, at
            # What is said of its sizes has to be whole before it is used.
            if not self.is_whole(found):
                continue
            if not wanted_only or log_load(&self._interest[_hash(found.topic, found.topic_size)]) & me:
                return True
            self.is_whole(found)

    cdef bint is_whole(self, const Record* found) noexcept:
        log_read_fence()
        # Positions are kept in 45 bits.
        if ((log_load(&self._desks[found.who].end) - found.at) & ((<uint64_t>1 << 45) - 1)) <= self._arena:
            return True
        self.missed += 1
        return False

    def sleep(self) -> bool:
        """Ask to be woken by the next message of a wanted topic; False when there is something to read after all."""
        log_store(&self._desks[self._me].asleep, 1)
        # Asked of the place, not of the number: who fills a place may be stopped before counting it.
        if log_load(&self._places[self._position & self._mask]) >> 48 != _lap(self._position, self._lap_shift):
            return True
        log_store(&self._desks[self._me].asleep, 0)
        return False

    @property
    def position(self) -> int:
        """Number of the next place that this worker reads."""
        return self._position

    @property
    def end(self) -> int:
        """Number of the place that the next message will take."""
        return log_load(self._next_place)

    cdef void _show(self, uint64_t at) noexcept:
        """Fill the next place, even while other workers try the same. A place that is filled and not yet counted is counted for
        its writer, who may have been stopped."""
        cdef uint64_t number, lap, found
        cdef uint64_t value = <uint64_t>self._me << 42 | (at >> 3 & ((<uint64_t>1 << 42) - 1))
        while True:
            number = log_load(self._next_place)
            lap = _lap(number, self._lap_shift)
            found = log_load(&self._places[number & self._mask])
            if found >> 48 == lap:
                log_replace(self._next_place, number, number + 1)
            elif found >> 48 == ((lap - 1) & 0xFFFF) and log_replace(
                &self._places[number & self._mask], found, lap << 48 | value
            ):
                log_replace(self._next_place, number, number + 1)
                return

    cdef void _skip(self) noexcept:
        """A whole lap behind: go on in the middle of what is still there, with some way to go before it happens again."""
        cdef uint64_t to = log_load(self._next_place) - (self._mask + 1) // 2
        self.missed += to - self._position
        self._position = to


cdef inline uint64_t _lap(uint64_t number, int shift) noexcept:
    """Laps are counted from 1: the memory begins as zeros."""
    return ((number >> shift) + 1) & 0xFFFF


cdef uint32_t _hash(const char* topic, Py_ssize_t size) noexcept:
    """Spreads, and is the same in every process."""
    cdef uint64_t value = <uint64_t>size, word
    while size >= 8:
        memcpy(&word, topic, 8)
        value = _mixed(value ^ word)
        topic += 8
        size -= 8
    word = 0
    memcpy(&word, topic, <size_t>size)
    return <uint32_t>(_mixed(value ^ word) % TOPICS)


cdef inline uint64_t _mixed(uint64_t value) noexcept:
    value *= 0x9E3779B97F4A7C15ull
    return value ^ value >> 29
