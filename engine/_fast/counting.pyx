"""Numbers of metrics while they are counted: one for each combination of label values, found in a dictionary.

Nothing here knows a metric, a file or a page. `engine/metrics/registry.py` takes what has grown once a second, so that what
happens a hundred thousand times a second costs an addition.
"""

cimport cython


cdef class Tally:
    """What grows. One that is made is taken once even if nothing is added: it stands on the page as 0."""

    def __init__(self, list touched not None):
        self.touched = touched
        self.touch()


@cython.final
cdef class Count(Tally):
    """One number."""

    def __init__(self, str key not None, list touched not None):
        Tally.__init__(self, touched)
        self.key = key

    cdef int grow(self, double amount) except -1:
        self.amount += amount
        return self.touch()

    def add(self, double amount):
        self.grow(amount)

    def take(self) -> list:
        """(key, what was added since the last call)."""
        taken = [(self.key, self.amount)]
        self.amount, self.due = 0, False
        return taken


@cython.final
cdef class Sizes(Tally):
    """A histogram: observations by size, and their sum.

    :param keys: of each bucket, the last of which has no upper bound.
    """

    def __init__(self, tuple keys not None, str sum_key not None, tuple bounds not None, list touched not None):
        if len(keys) != len(bounds) + 1 or len(keys) > MAX_BUCKETS:
            raise ValueError(f"a histogram has one bucket more than bounds, and at most {MAX_BUCKETS}")
        Tally.__init__(self, touched)
        self.keys, self.sum_key, self.length = keys, sum_key, len(bounds)
        for i in range(self.length):
            self.bounds[i] = bounds[i]

    cdef int note(self, double size, double times=1) except -1:
        cdef int i = 0
        while i < self.length and self.bounds[i] < size:
            i += 1
        self.counts[i] += times
        self.total += size * times
        return self.touch()

    def observe(self, double size, double times=1):
        """:param times: how many observations were alike."""
        self.note(size, times)

    def take(self) -> list:
        """(key, what was added since the last call) of each bucket, and of the sum."""
        taken = [(key, self.counts[i]) for i, key in enumerate(self.keys)]
        taken.append((self.sum_key, self.total))
        for i in range(self.length + 1):
            self.counts[i] = 0
        self.total, self.due = 0, False
        return taken


cdef class ByLabels:
    """A family's series by their label values. A subclass makes those that were not met before (`make`)."""

    def __init__(self):
        self._known = {}

    def of(self, *labels):
        """The series of these label values, for where it is used again and again. It begins at 0."""
        found = self._known.get(labels)
        return self.make(labels) if found is None else found

    def make(self, tuple labels):
        raise NotImplementedError

    @property
    def known(self) -> dict:
        return self._known


cdef class Counts(ByLabels):
    """A family of counts."""

    def add(self, double amount, *labels):
        found = self._known.get(labels)
        if found is None:
            found = self.make(labels)
        (<Count?>found).grow(amount)


cdef class AllSizes(ByLabels):
    """A family of histograms."""

    def observe(self, double size, *labels):
        found = self._known.get(labels)
        if found is None:
            found = self.make(labels)
        (<Sizes?>found).note(size)
