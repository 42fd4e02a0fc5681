# hiredis's reader of replies, with what is common taken from where it lies.

# A part of a reply, as hiredis/read.h has had it since 1.0.
cdef struct Task:
    int kind
    long long parts
    int at                          # in its parent
    void* made
    Task* parent
    void* owner


cdef class ReplyReader:
    cdef void* _reader              # hiredis's own; NULL where there is none
    cdef bytes _word                # with which a message begins
    cdef bytes _fed                 # what has come, and is not all in the reader yet
    cdef Py_ssize_t _fed_at
    # The reply that is being read:
    cdef list _found                # once it is known not to be taken, or None
    cdef bytes _topic               # of a message, or None before it has come
    cdef object _raised             # by one of those below, or None

    # A whole message; its bytes lie there only during the call. Whether it is taken; else it is a reply like any other.
    cdef bint take_message(self, bytes topic, const char* message, Py_ssize_t size) except -1

    cdef bint _feed_some(self) except -1
    cdef int _fail(self) except -1
    # What each part of a reply is made into, as hiredis comes upon it.
    cdef void* _on_array(self, const Task* task, size_t parts) except? NULL
    cdef void* _on_string(self, const Task* task, const char* text, Py_ssize_t size) except? NULL
    cdef bint _take(self, const Task* task, const char* text, Py_ssize_t size) except -1
    cdef void* _give(self, const Task* task, made) except? NULL
    cdef int _unfold(self, const Task* task) except -1
