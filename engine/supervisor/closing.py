"""How a listening socket is closed without a handshake in it being refused or reset.

A connection whose SYN has come is completed by the kernel and waits in the socket's queue; closing the socket resets
those. So new SYNs are dropped first (their senders try again after a second, when another process may listen), then the
queue is emptied by those who accept from it, and only then the socket may be closed.
"""

from __future__ import annotations

import ctypes
import socket
import struct

#: For the last part of handshakes that began before.
HANDSHAKE_S = 0.1

_SO_ATTACH_FILTER = 26
#: What a classic BPF program of the kernel sees begins with the TCP header, whose byte 13 has the flags.
_DROP_SYN = (
    (0x30, 0, 0, 13),  # load it
    (0x54, 0, 0, 0x12),  # SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone: go on, else one further
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # keep
)
#: In struct tcp_info of a listening socket: how many connections wait to be accepted.
_WAITING_AT = 24


def refuse_silently(listening: socket.socket) -> None:
    """Drop whatever would begin a connection from now on; handshakes under way go on. For TCP only."""
    if listening.family not in (socket.AF_INET, socket.AF_INET6):
        return
    program = b"".join(struct.pack("HBBI", *line) for line in _DROP_SYN)
    lines = ctypes.create_string_buffer(program)
    listening.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(_DROP_SYN), ctypes.addressof(lines))
    )


def waiting(listening: socket.socket) -> int:
    """How many connections wait in its queue; 0 where that cannot be seen, as with Unix sockets."""
    if listening.family not in (socket.AF_INET, socket.AF_INET6):
        return 0
    info = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _WAITING_AT + 4)
    return int(struct.unpack_from("I", info, _WAITING_AT)[0])
