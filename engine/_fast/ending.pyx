"""The end of a socket; what its client has not read may go with it.

One that is only closed stays in the kernel with all that was not read, megabytes perhaps, for as many minutes as the
kernel goes on asking the client for room; and whoever comes again and again leaves one each time. Decides no end.
"""

cdef extern from "sys/socket.h" nogil:
    struct c_linger "linger":
        int l_onoff
        int l_linger
    int c_setsockopt "setsockopt"(int fd, int level, int name, const void* value, unsigned int length)
    int SOL_SOCKET
    int SO_LINGER


cpdef end(transport, bint forget):
    """Abort a transport. :param forget: whether the kernel forgets what its client has not read, and tells it so."""
    cdef c_linger at_once = c_linger(1, 0)
    sock = transport.get_extra_info("socket") if forget else None
    if sock is not None:
        # Fails for one that is closed already, which has nothing to be forgotten.
        c_setsockopt(sock.fileno(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once))
    transport.abort()
