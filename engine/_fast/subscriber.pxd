# The places of one connection in its channels.

cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t

from engine._fast.parser cimport Reader


cdef struct Slot:
    PyObject* channel   # owned reference to a Channel of hub.pyx
    uint32_t index      # this connection's place in that channel


@cython.no_gc
cdef class Subscriber(Reader):
    cdef Slot* slots
    cdef uint32_t slot_count, slot_capacity
    cdef dict _slot_of              # Channel -> place in slots, once there are many
    cdef int find_slot(self, object channel) except -2
    cdef int add_slot(self, object channel, uint32_t index) except -1
    cdef int remove_slot(self, uint32_t slot) except -1
