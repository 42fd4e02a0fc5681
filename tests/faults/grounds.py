"""Further things that a cluster of engines can stand on: a Valkey behind a bad proxy, and one whose disk is small.

As in tests/chaos/grounds.py; blocking.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.chaos.grounds import KEEPS_DATA, OneServer
from tests.support.bad_proxy import BadProxy
from tests.support.waiting import free_port

DISK_MB = 24


class BehindProxy(OneServer):
    """Engines reach it through `proxy` alone; whoever looks at the state does not."""

    def __init__(self) -> None:
        port = free_port()
        super().__init__((*KEEPS_DATA, "--port", str(port), "--bind", "127.0.0.1"))
        self.proxy = BadProxy(port)
        self.config = {"url": f"redis://127.0.0.1:{self.proxy.port}"}
        self.start, self.stop = self._start, self._stop

    def _start(self) -> None:
        self.valkey.start()
        self.proxy.__enter__()

    def _stop(self) -> None:
        self.proxy.__exit__(None, None, None)
        self.valkey.stop()


class OnSmallDisk(OneServer):
    """Its folder is a file system of its own, which needs the right to mount one. Raises OSError without it."""

    def __init__(self) -> None:
        # A server that must write each answer to the disk ends itself when it cannot.
        super().__init__(("--appendonly", "yes", "--appendfsync", "everysec"))
        self.start, self.stop = self._start, self._stop

    @property
    def disk(self) -> Path:
        return self.valkey.folder

    def fill(self) -> None:
        """Until not a byte more fits."""
        with (self.disk / "filler").open("wb", buffering=0) as filler:
            try:
                while filler.write(b"x" * 65536) == 65536:
                    pass
                while filler.write(b"x"):
                    pass
            except OSError:
                return

    def make_room(self) -> None:
        (self.disk / "filler").unlink()

    def _start(self) -> None:
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=700", "tmpfs", str(self.disk)]
        made = subprocess.run(command, check=False, capture_output=True, text=True)
        if made.returncode:
            raise OSError(f"no file system can be mounted here: {made.stderr.strip()}")
        self.valkey.start()

    def _stop(self) -> None:
        self.valkey.kill()
        subprocess.run(["umount", str(self.disk)], check=False)
        shutil.rmtree(self.disk, ignore_errors=True)
