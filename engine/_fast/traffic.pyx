"""Counters of one application in this worker: plain numbers, moved to the metrics once a second.

Never read by the hot path.
"""

cimport cython


@cython.final
cdef class Traffic:
    """All but `connections` only grow."""

    def __init__(self, str app_id not None):
        self.app_id = app_id
