"""A transport that answers picows' questions without asking the kernel.

For its log line and to set options that uvloop has set already, picows asks a new connection's socket eight questions,
each of which makes a socket object and a system call; and on a Unix socket one of them fails. The facade stands
between the two until the handshake is done; `Connection.on_ws_connected` then puts the real transport in its place.
"""


cdef class Facade:
    """:param transport: a connected transport of the loop."""

    def __init__(self, transport):
        self.transport = transport
        self._fd = transport.get_extra_info("socket").fileno()
        self._ssl_object = transport.get_extra_info("ssl_object")

    # --- as a transport

    def get_extra_info(self, name, default=None):
        if name == "socket":
            return self
        if name == "ssl_object":
            return self._ssl_object
        return default

    def write(self, data):
        self.transport.write(data)

    def writelines(self, data):
        self.transport.writelines(data)

    def get_write_buffer_size(self):
        return self.transport.get_write_buffer_size()

    def is_closing(self):
        return self.transport.is_closing()

    def close(self):
        self.transport.close()

    def abort(self):
        self.transport.abort()

    # --- as its socket

    def fileno(self):
        return self._fd

    def setsockopt(self, *_):
        """uvloop sets TCP_NODELAY on every TCP connection itself."""

    def getsockopt(self, *_):
        return 0
