"""Events that others have published, from the bytes of a connection that subscribes to those who are in the channel.

Only what is an event and nothing else, of a topic that is a channel here, is taken; every other message is a reply that
Python gets, in its place among the others. Knows no commands and no connection.
"""

cimport cython

from engine._fast.envelope cimport Event, deliver, find_event
from engine._fast.hiredis cimport ReplyReader
from engine._fast.hub cimport Channel, Hub
from engine._fast.recent_events cimport RecentEvents

from engine._fast.hiredis import available

import hiredis


@cython.final
cdef class TopicEvents:
    """:param channels: the channel of each topic, kept by its owner.
    :param recent: is told what has come, and says what of it is no news.
    :ivar overheard: somebody wants to hear everything first, and so Python gets all messages.
    """

    def __init__(self, Hub hub not None, dict channels not None, RecentEvents recent not None):
        self._hub, self._channels, self._recent = hub, channels, recent

    def reader(self, bytes word not None):
        """What reads the replies of one connection, as `hiredis.Reader` does. :param word: with which messages begin."""
        cdef EventReader made
        if not available():
            return hiredis.Reader()
        made = EventReader(word)
        made._events = self
        return made


@cython.final
cdef class EventReader(ReplyReader):
    cdef bint take_message(self, bytes topic, const char* message, Py_ssize_t size) except -1:
        cdef TopicEvents events = self._events
        cdef Event event
        if events.overheard or not find_event(message, size, &event):
            return False
        channel = events._channels.get(topic)
        if channel is None:
            return False
        if events._recent.is_news(<Channel>channel, &event):
            deliver(events._hub, <Channel>channel, &event)
        return True
