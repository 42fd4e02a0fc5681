# What one application's connections of this worker have done.

cdef class Traffic:
    # What one application's connections of this worker have done; plain counters that only grow, but for `connections`.
    cdef readonly str app_id
    cdef public long long connections, opened, closed
    cdef public long long received_bytes, received_messages, sent_bytes, sent_messages
