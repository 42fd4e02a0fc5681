"""The part of the applications' register (`app_manager.py`) that C reads without asking Python.

Knows no application: who has kept one looks here whether it is still the one.
"""


cdef class Registry:
    """:ivar stale: nobody may be let in by what is known. :ivar changes: how often the applications were replaced."""
