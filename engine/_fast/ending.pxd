# The end of a socket. Once for each.

cpdef end(transport, bint forget)
