# JSON text taken apart without being decoded (RFC 8259).

from libc.string cimport memcmp

# A JSON string as it lies, without its quotes.
cdef struct Text:
    const char* at
    Py_ssize_t size
    Py_ssize_t utf8_bytes    # of what it stands for; a lone surrogate counts three
    Py_ssize_t characters    # of what it stands for; a lone surrogate counts one
    bint escaped             # holds a backslash

# All take `p`, the first byte to look at, and `end`, one behind the last, and give the first byte behind what was read;
# NULL where it is not there. No Python object is touched.

cdef const char* skip_space(const char* p, const char* end) noexcept nogil
cdef const char* read_string(const char* p, const char* end, Text* text) noexcept nogil
cdef const char* skip_value(const char* p, const char* end, int depth) noexcept nogil
# A character, and the space that follows; NULL stays NULL.
cdef const char* read_mark(const char* p, const char* end, char mark) noexcept nogil
# The name of a member with its colon, up to its value.
cdef const char* read_key(const char* p, const char* end, Text* key) noexcept nogil

# By the bytes as they lie, escapes and all.
cdef inline bint text_is(const Text* text, const char* word, Py_ssize_t size) noexcept nogil:
    return text.size == size and memcmp(text.at, word, <size_t>size) == 0

cdef inline bint text_begins(const Text* text, const char* prefix, Py_ssize_t size) noexcept nogil:
    return text.size >= size and memcmp(text.at, prefix, <size_t>size) == 0
