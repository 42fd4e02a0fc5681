# Events on their way from a connection that subscribes to topics, to those who are in the channels.

from engine._fast.hiredis cimport ReplyReader
from engine._fast.hub cimport Hub


cdef class TopicEvents:
    cdef Hub _hub
    cdef dict _channels         # topic -> Channel
    cdef public bint overheard


cdef class EventReader(ReplyReader):
    cdef TopicEvents _events
