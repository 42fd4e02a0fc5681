# The target of a publish: POST {prefix}/apps/{id}/events or /batch_events.

from engine._fast.llhttp cimport Span


cdef struct Target:
    Span path        # up to the question mark
    Span query       # behind it; empty without one
    Span app_id      # as sent
    bint batch


# Whether it is one. :param prefix: of all of them, up to the application's id. Touches no Python object but reads `prefix`.
cdef bint read_target(Span target, bytes prefix, Target* out) noexcept
