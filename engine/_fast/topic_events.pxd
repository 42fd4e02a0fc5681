# Events on their way from a connection that subscribes to topics, to those who are in the channels.

from engine._fast.hiredis cimport ReplyReader
from engine._fast.hub cimport Hub
from engine._fast.recent_events cimport RecentEvents


cdef class TopicEvents:
    cdef Hub _hub
    cdef dict _channels         # topic -> Channel
    cdef RecentEvents _recent
    cdef public bint overheard


cdef class EventReader(ReplyReader):
    cdef TopicEvents _events
