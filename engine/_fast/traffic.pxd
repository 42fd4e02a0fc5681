# What one application's connections of this worker have done.

cdef class Traffic:
    # What one application's connections of this worker have done; plain counters that only grow, but for `connections`.
    cdef readonly str app_id
    cdef public long long connections, opened, closed
    cdef public long long received_bytes, received_messages, sent_bytes, sent_messages
    # Publishes answered without Python, what their bodies and answers held, and the events sent to channels by them.
    cdef public long long publishes, publish_received_bytes, publish_sent_bytes, broadcasts
    cdef public long long delivered    # events that came over the adapter
    cdef public long long shared       # messages put into the log that the workers of this host share
