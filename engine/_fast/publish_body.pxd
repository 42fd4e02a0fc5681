# Bodies of plain publishes, taken apart into pieces of their own bytes.

from engine._fast.json_text cimport Text
from engine._fast.llhttp cimport Span

cdef enum:
    MAX_EVENTS = 16
    MAX_CHANNELS = 128


cdef struct Event:
    Text name
    Text data
    Span socket_id          # empty where there is none
    int first_channel       # its channels' places in Body.channels
    int channels


cdef struct Body:
    Event events[MAX_EVENTS]
    int count
    Text channels[MAX_CHANNELS]
    int channel_count


# Whether the body is one event, or a batch of them, in the form that libraries send: each member once, none that asks
# for more, texts where texts belong. What it means is not looked at. No Python object is touched.
cdef bint read_body(const char* data, Py_ssize_t size, bint batch, Body* body) noexcept nogil
