"""The outbox of one socket: references to finished frames, joined into one write when the hub flushes.

A frame is shared by all sockets: never write into it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_DECREF
from libc.string cimport memcpy

cdef enum:
    #: Joined frames up to this many bytes go through one static buffer; larger writes are joined into an object.
    SCRATCH = 262144
    #: An outbox that grew beyond this many places gives its memory back when it is empty.
    KEEP = 16

cdef char _scratch[SCRATCH]


cdef int outbox_put(Outbox* box, PyObject* frame) except -1:
    cdef unsigned int capacity
    cdef PyObject** frames
    if box.count == box.capacity:
        capacity = box.capacity * 2 if box.capacity else 4
        frames = <PyObject**>PyMem_Realloc(box.frames, capacity * sizeof(PyObject*))
        if frames == NULL:
            raise MemoryError
        box.frames = frames
        box.capacity = capacity
    Py_INCREF(<object>frame)
    box.frames[box.count] = frame
    box.count += 1
    box.size += <size_t>PyBytes_GET_SIZE(<object>frame)
    return 0


cdef const char* outbox_view(Outbox* box) noexcept:
    cdef size_t used = 0, size
    cdef unsigned int i
    if box.count == 1:
        return PyBytes_AS_STRING(<object>box.frames[0])
    if box.size > SCRATCH:
        return NULL
    for i in range(box.count):
        size = <size_t>PyBytes_GET_SIZE(<object>box.frames[i])
        memcpy(_scratch + used, PyBytes_AS_STRING(<object>box.frames[i]), size)
        used += size
    return _scratch


cdef bytes outbox_join(Outbox* box, size_t skip):
    cdef bytes joined = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>(box.size - skip))
    cdef char* out = PyBytes_AS_STRING(joined)
    cdef size_t size
    cdef unsigned int i
    for i in range(box.count):
        size = <size_t>PyBytes_GET_SIZE(<object>box.frames[i])
        if skip >= size:
            skip -= size
            continue
        memcpy(out, PyBytes_AS_STRING(<object>box.frames[i]) + skip, size - skip)
        out += size - skip
        skip = 0
    return joined


cdef void outbox_clear(Outbox* box) noexcept:
    cdef unsigned int i
    for i in range(box.count):
        Py_DECREF(<object>box.frames[i])
    box.count = 0
    box.size = 0
    if box.capacity > KEEP:
        PyMem_Free(box.frames)
        box.frames = NULL
        box.capacity = 0


cdef void outbox_free(Outbox* box) noexcept:
    outbox_clear(box)
    PyMem_Free(box.frames)
    box.frames = NULL
    box.capacity = 0
