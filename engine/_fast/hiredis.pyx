"""hiredis's reader of replies, called through its C interface: published messages without a Python object each.

It is the copy that hiredis-py has loaded: its functions are looked up at import. What is not taken in C becomes the objects
that `hiredis.Reader` makes. Where the functions cannot be found `available` says so, and hiredis-py reads all. Never looks
into a message, and knows no command.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.string cimport memcmp

from engine._fast.native cimport function_of, library_of

from hiredis import ProtocolError, ReplyError

cdef enum:
    #: Kinds of a reply.
    STRING = 1
    ARRAY = 2
    ERROR = 6
    MAP = 9
    VERBATIM = 14
    #: Word, topic, message.
    PARTS = 3
    #: What Redis is asked for here has no longer lists.
    MAX_PARTS = 1024
    #: Given to hiredis at once. It moves all that it has not read yet with each KiB that it has.
    FED_AT_ONCE = 4096


cdef struct Makers:
    void* (*string)(const Task* task, char* text, size_t size) noexcept
    void* (*array)(const Task* task, size_t parts) noexcept
    void* (*integer)(const Task* task, long long number) noexcept
    void* (*real)(const Task* task, double number, char* text, size_t size) noexcept
    void* (*nil)(const Task* task) noexcept
    void* (*boolean)(const Task* task, int truth) noexcept
    void (*free)(void* made) noexcept


# The first of its members.
cdef struct Failure:
    int kind
    char text[128]


ctypedef void* (*create_fn)(Makers* makers) noexcept
ctypedef int (*feed_fn)(void* reader, const char* data, size_t size) noexcept
ctypedef int (*get_fn)(void* reader, void** reply) noexcept
ctypedef void (*free_fn)(void* reader) noexcept


cdef struct Functions:
    create_fn create    # NULL where the library was not found, or is not as it is thought to be
    feed_fn feed
    get_fn get
    free_fn free


cdef Functions _hiredis
cdef Makers _makers
#: Whose reply is being read. Its owner in each task would need more of hiredis's structures.
cdef PyObject* _reading = NULL
#: Stands for what is no object: a reply that may still be taken, and its parts.
cdef char _no_object = 0
cdef void* NO_OBJECT = <void*>&_no_object


cdef class ReplyReader:
    """As `hiredis.Reader`, but that `gets` passes over what was taken.

    :param word: with which a message begins.
    """

    def __cinit__(self):
        if _hiredis.create != NULL:
            self._reader = _hiredis.create(&_makers)

    def __init__(self, bytes word not None):
        if self._reader == NULL:
            raise MemoryError
        self._word = word

    def __dealloc__(self):
        if self._reader != NULL:
            _hiredis.free(self._reader)

    def feed(self, bytes data not None):
        """Add what has come; all before it was read by `gets`, to False."""
        if self._fed is not None:
            data = self._fed[self._fed_at:] + data
        self._fed, self._fed_at = data, 0

    def gets(self):
        """The next reply that was not taken; False when the rest of it has to come."""
        cdef PyObject* before = _reading
        cdef void* reply
        cdef int status
        global _reading
        while True:
            reply = NULL
            _reading = <PyObject*>self
            status = _hiredis.get(self._reader, &reply)
            _reading = before
            if status != 0:
                self._fail()
            if reply == NULL:
                if not self._feed_some():
                    return False
            elif reply != NO_OBJECT:
                found = <object>reply
                Py_DECREF(found)
                return found
            elif self._found is not None:
                found, self._found = self._found, None
                return found

    cdef bint take_message(self, bytes topic, const char* message, Py_ssize_t size) except -1:
        return False

    cdef bint _feed_some(self) except -1:
        cdef Py_ssize_t size
        if self._fed is None:
            return False
        size = min(<Py_ssize_t>FED_AT_ONCE, PyBytes_GET_SIZE(self._fed) - self._fed_at)
        if _hiredis.feed(self._reader, PyBytes_AS_STRING(self._fed) + self._fed_at, <size_t>size) != 0:
            self._fail()
        self._fed_at += size
        if self._fed_at == PyBytes_GET_SIZE(self._fed):
            self._fed = None
        return True

    cdef int _fail(self) except -1:
        raised, self._raised, self._found = self._raised, None, None
        if raised is not None:
            raise raised
        raise ProtocolError((<Failure*>self._reader).text.decode("utf-8", "replace"))

    # --- called by hiredis, with bytes that lie there only during the call: it moves them as it reads on

    cdef void* _on_array(self, const Task* task, size_t parts) except? NULL:
        if task.kind == MAP or parts > MAX_PARTS:
            raise ProtocolError("Protocol error, got what no command here is answered with")
        if task.parent == NULL:
            self._found = self._topic = None
            if task.kind == ARRAY and parts == PARTS:
                return NO_OBJECT
        return self._give(task, PyList_New(<Py_ssize_t>parts))

    cdef void* _on_string(self, const Task* task, const char* text, Py_ssize_t size) except? NULL:
        if task.kind == ERROR:
            return self._give(task, ReplyError(text[:size].decode("utf-8", "replace")))
        if task.kind == VERBATIM:
            # Behind its format, of which hiredis has looked at the length.
            return self._give(task, PyBytes_FromStringAndSize(text + 4, size - 4))
        if task.kind == STRING and task.parent != NULL and task.parent.made == NO_OBJECT and self._take(task, text, size):
            return NO_OBJECT
        return self._give(task, PyBytes_FromStringAndSize(text, size))

    cdef bint _take(self, const Task* task, const char* text, Py_ssize_t size) except -1:
        """A part of what may be a message. False when it is none, or not taken."""
        if task.at == 0:
            return (
                size == PyBytes_GET_SIZE(self._word)
                and memcmp(text, PyBytes_AS_STRING(self._word), <size_t>size) == 0
            )
        if task.at == 1:
            self._topic = PyBytes_FromStringAndSize(text, size)
            return True
        return self.take_message(self._topic, text, size)

    cdef void* _give(self, const Task* task, made) except? NULL:
        """Its place in its parent to an object of Python."""
        cdef list parent
        if task.parent != NULL:
            if task.parent.made == NO_OBJECT:
                self._unfold(task)
            parent = <list>task.parent.made
            Py_INCREF(made)
            PyList_SET_ITEM(parent, task.at, made)
        else:
            Py_INCREF(made)
        return <void*>made

    cdef int _unfold(self, const Task* task) except -1:
        """The reply of which this is a part is not taken, so that what has come of it is needed."""
        cdef list parent = PyList_New(PARTS)
        if task.at > 0:
            Py_INCREF(self._word)
            PyList_SET_ITEM(parent, 0, self._word)
        if task.at > 1:
            Py_INCREF(self._topic)
            PyList_SET_ITEM(parent, 1, self._topic)
        self._found = parent
        task.parent.made = <void*>parent
        return 0


cdef void* _string(const Task* task, char* text, size_t size) noexcept:
    cdef ReplyReader reader = <ReplyReader>_reading
    try:
        return reader._on_string(task, text, <Py_ssize_t>size)
    except BaseException as error:
        return _failed(reader, error)


cdef void* _array(const Task* task, size_t parts) noexcept:
    cdef ReplyReader reader = <ReplyReader>_reading
    try:
        return reader._on_array(task, parts)
    except BaseException as error:
        return _failed(reader, error)


cdef void* _integer(const Task* task, long long number) noexcept:
    cdef ReplyReader reader = <ReplyReader>_reading
    try:
        return reader._give(task, number)
    except BaseException as error:
        return _failed(reader, error)


cdef void* _real(const Task* task, double number, char* text, size_t size) noexcept:
    cdef ReplyReader reader = <ReplyReader>_reading
    try:
        return reader._give(task, number)
    except BaseException as error:
        return _failed(reader, error)


cdef void* _nil(const Task* task) noexcept:
    cdef ReplyReader reader = <ReplyReader>_reading
    try:
        return reader._give(task, None)
    except BaseException as error:
        return _failed(reader, error)


cdef void* _boolean(const Task* task, int truth) noexcept:
    cdef ReplyReader reader = <ReplyReader>_reading
    try:
        return reader._give(task, truth != 0)
    except BaseException as error:
        return _failed(reader, error)


cdef void _free(void* made) noexcept:
    if made != NULL and made != NO_OBJECT:
        Py_DECREF(<object>made)


cdef void* _failed(ReplyReader reader, error) noexcept:
    """hiredis reads nothing more then."""
    reader._raised = error
    return NULL


def available() -> bool:
    """Whether replies can be read here."""
    return _hiredis.create != NULL


cdef class _Sample(ReplyReader):
    cdef list taken

    cdef bint take_message(self, bytes topic, const char* message, Py_ssize_t size) except -1:
        self.taken.append((topic, message[:size]))
        return True


cdef bint _reads() except -1:
    """Whether hiredis's structures are what they are thought to be."""
    cdef _Sample sample = _Sample(b"message")
    sample.taken = []
    sample.feed(b":-7\r\n*3\r\n$7\r\nmessage\r\n$1\r\nt\r\n$2\r\nhi\r\n*3\r\n$1\r\nx\r\n*2\r\n:1\r\n$-1\r\n+y\r\n!")
    if sample.gets() != -7 or sample.gets() != [b"x", [1, None], b"y"] or sample.taken != [(b"t", b"hi")]:
        return False
    try:
        sample.gets()
    except ProtocolError as error:
        return str(error).startswith("Protocol error")
    return False


cdef int _find() except -1:
    cdef void* library = library_of("hiredis.hiredis")
    _makers.string, _makers.array, _makers.integer = _string, _array, _integer
    _makers.real, _makers.nil, _makers.boolean, _makers.free = _real, _nil, _boolean, _free
    _hiredis.feed = <feed_fn>function_of(library, "redisReaderFeed")
    _hiredis.get = <get_fn>function_of(library, "redisReaderGetReply")
    _hiredis.free = <free_fn>function_of(library, "redisReaderFree")
    _hiredis.create = <create_fn>function_of(library, "redisReaderCreateWithFunctions")
    if _hiredis.feed == NULL or _hiredis.get == NULL or _hiredis.free == NULL or not _reads():
        _hiredis.create = NULL
    return 0


_find()
