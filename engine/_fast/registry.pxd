# What of the applications' register is asked for each publish.

cdef class Registry:
    cdef public bint stale              # too old to let anybody in by it
    cdef public long long changes       # grows with each change of the whole
