"""The places of one connection in its channels; written by the hub, which keeps the other side.

A connection is in few channels as a rule, so its places are an array that is looked through; many are found by a dict. Nothing but the hub changes them.
"""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF

cdef enum:
    #: Channels of one connection beyond which its places are looked up in a dict instead of one after the other.
    LINEAR_SLOTS = 16


#: Connections that exist, ended ones among them that something still refers to.
cdef Py_ssize_t _objects = 0


def objects() -> int:
    """How many there are. The garbage collector does not look at them, for there may be many: what keeps one that has
    ended, itself by way of others even, keeps it for ever. None does."""
    return _objects


@cython.no_gc
cdef class Subscriber(Reader):
    """What a Connection is to the hub."""

    def __cinit__(self):
        global _objects
        _objects += 1

    def __dealloc__(self):
        cdef uint32_t i
        global _objects
        _objects -= 1
        for i in range(self.slot_count):
            Py_DECREF(<object>self.slots[i].channel)
        PyMem_Free(self.slots)

    cdef int find_slot(self, object channel) except -2:
        cdef uint32_t i
        if self._slot_of is not None:
            found = self._slot_of.get(channel)
            return -1 if found is None else <int>found
        for i in range(self.slot_count):
            if self.slots[i].channel == <PyObject*>channel:
                return <int>i
        return -1

    cdef int add_slot(self, object channel, uint32_t index) except -1:
        cdef uint32_t capacity, i
        cdef dict slot_of
        cdef Slot* slots
        if self.slot_count == self.slot_capacity:
            capacity = self.slot_capacity * 2 if self.slot_capacity else 2
            slots = <Slot*>PyMem_Realloc(self.slots, capacity * sizeof(Slot))
            if slots == NULL:
                raise MemoryError
            self.slots = slots
            self.slot_capacity = capacity
        if self._slot_of is not None:
            self._slot_of[channel] = self.slot_count
        elif self.slot_count == LINEAR_SLOTS:
            slot_of = {<object>self.slots[i].channel: i for i in range(self.slot_count)}
            slot_of[channel] = self.slot_count
            self._slot_of = slot_of
        # From here on nothing can raise.
        Py_INCREF(channel)
        self.slots[self.slot_count].channel = <PyObject*>channel
        self.slots[self.slot_count].index = index
        self.slot_count += 1
        return 0

    cdef int remove_slot(self, uint32_t slot) except -1:
        cdef object channel = <object>self.slots[slot].channel
        cdef uint32_t last = self.slot_count - 1
        if self._slot_of is not None:
            if slot != last:
                self._slot_of[<object>self.slots[last].channel] = slot
            del self._slot_of[channel]
        # From here on nothing can raise.
        self.slots[slot] = self.slots[last]
        self.slot_count = last
        Py_DECREF(channel)
        return 0

    @property
    def channel_count(self) -> int:
        """Channels this connection is subscribed to, the user's own included."""
        return self.slot_count
