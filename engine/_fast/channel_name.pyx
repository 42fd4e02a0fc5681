"""What a channel's name begins with, and whether all of its characters are allowed: asked for each subscription and publish.

Never knows which prefixes there are or what they mean: `protocol/channel.py` says so.
"""

from libc.string cimport memcmp

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    const void* PyUnicode_1BYTE_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

cdef enum:
    MAX_PREFIXES = 16

cdef bint _allowed[256]

for _byte in range(128):
    _allowed[<int>_byte] = chr(_byte).isalnum() or chr(_byte) in "_-=@,.;:"


cdef struct Prefix:
    const char* text
    Py_ssize_t size


cdef class Prefixes:
    """:param prefixes: of ASCII, with what is to be found by each. The longest one that a name begins with counts."""

    cdef Prefix _prefixes[MAX_PREFIXES]
    cdef int _count
    cdef list _texts, _found
    cdef object _other

    def __init__(self, dict prefixes not None, other):
        texts = sorted(prefixes, key=len, reverse=True)
        if len(texts) > MAX_PREFIXES:
            raise ValueError(f"at most {MAX_PREFIXES} prefixes are looked for")
        self._texts = [text.encode("ascii") for text in texts]
        self._found = [prefixes[text] for text in texts]
        self._other = other
        self._count = <int>len(texts)
        for i, text in enumerate(self._texts):
            self._prefixes[<int>i].text, self._prefixes[<int>i].size = <const char*>text, len(text)

    def of(self, str name not None):
        """What belongs to the longest prefix of the name; `other` where it has none."""
        cdef const char* text
        cdef Py_ssize_t size = PyUnicode_GET_LENGTH(name)
        cdef int i
        if not PyUnicode_IS_COMPACT_ASCII(name):
            for i in range(self._count):
                if name.startswith(self._texts[i].decode()):
                    return self._found[i]
            return self._other
        text = <const char*>PyUnicode_1BYTE_DATA(name)
        for i in range(self._count):
            if size >= self._prefixes[i].size and memcmp(text, self._prefixes[i].text, <size_t>self._prefixes[i].size) == 0:
                return self._found[i]
        return self._other


def is_allowed(str name not None) -> bool:
    """Whether it is not empty and all its characters are letters, digits, or one of ``_-=@,.;:``."""
    cdef Py_ssize_t i, size = PyUnicode_GET_LENGTH(name)
    cdef const unsigned char* text
    if size == 0 or not PyUnicode_IS_COMPACT_ASCII(name):
        return False
    text = <const unsigned char*>PyUnicode_1BYTE_DATA(name)
    for i in range(size):
        if not _allowed[text[i]]:
            return False
    return True
