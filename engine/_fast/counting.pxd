# What a worker counts, between what happens and the second's end when it is passed on.

cdef enum:
    MAX_BUCKETS = 24


cdef class Tally:
    # Something that grew; `touched` is the list of those that were not taken yet.
    cdef list touched
    cdef bint due
    cdef inline int touch(self) except -1:
        if not self.due:
            self.due = True
            self.touched.append(self)
        return 0


cdef class Count(Tally):
    cdef readonly str key
    cdef double amount
    cdef int grow(self, double amount) except -1


cdef class Sizes(Tally):
    cdef tuple keys, ends
    cdef readonly str sum_key
    cdef double total
    cdef int length
    cdef double bounds[MAX_BUCKETS]
    cdef double counts[MAX_BUCKETS]
    cdef int note(self, double size, double times=*) except -1


cdef class ByLabels:
    cdef dict _known


cdef class Counts(ByLabels):
    pass


cdef class AllSizes(ByLabels):
    pass
