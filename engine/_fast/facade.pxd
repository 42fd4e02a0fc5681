# What picows sees of a transport while a connection is being set up; see facade.pyx.

cdef class Facade:
    cdef readonly object transport   # the loop's own
    cdef int _fd
    cdef object _ssl_object
