"""What is reported to systemd, after sd_notify(3): that it serves, reloads, stops, lives, and how it is.

Nothing is said where NOTIFY_SOCKET is not set. Never blocks and never fails.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

#: The service manager's patience is asked for again while the engine starts, so often and for so long.
EXTEND_EVERY_S, EXTEND_S = 5.0, 20.0
#: A start that has taken so long has failed, whatever the engine says.
START_LIMIT_S = 300.0


class ServiceManager:
    """:param environment: with NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, as systemd sets them."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # In the abstract name space where it begins with an @.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        usec = environment.get("WATCHDOG_USEC", "")
        ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        #: Twice as often as is demanded.
        self._watchdog_s = int(usec) / 2e6 if ours and usec.isdecimal() and int(usec) else 0.0
        self._barked_at = self._extended_at = 0.0
        self._began = time.monotonic()
        self._status = ""

    def ready(self) -> None:
        """It serves; also the end of a reload."""
        self._say("READY=1")

    def reloading(self) -> None:
        """The configuration is read again, or another program takes over."""
        self._say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, within_s: float) -> None:
        """It goes, and asks for the time that takes."""
        self._say(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int(within_s * 1e6)}")

    def tick(self, status: str, *, starting: bool) -> None:
        """To be called all the time by the loop whose life the watchdog is to watch. :param status: for people."""
        if not self._address:
            return
        now = time.monotonic()
        if self._watchdog_s and now - self._barked_at >= self._watchdog_s:
            self._barked_at = now
            self._say("WATCHDOG=1")
        if starting and now - self._extended_at >= EXTEND_EVERY_S and now - self._began < START_LIMIT_S:
            self._extended_at = now
            self._say(f"EXTEND_TIMEOUT_USEC={int(EXTEND_S * 1e6)}")
        if status != self._status:
            self._status = status
            self._say(f"STATUS={status}")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(text.encode(), self._address)
