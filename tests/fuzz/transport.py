"""The transport of connections that are given their bytes by hand: no socket, and no loop that reads one."""

from __future__ import annotations

from typing import Any


class Transport:
    """Keeps what is written. Says that it has TLS, so that everything is written through it."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self if name == "ssl_object" else default

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True

    abort = close

    def set_protocol(self, protocol: object) -> None:
        """There is only one."""

    def pause_reading(self) -> None:
        """Bytes come when they are given."""

    resume_reading = pause_reading
