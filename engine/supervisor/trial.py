"""The new program, tried in a process of its own before it replaces the supervisor's: a failure changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from engine.supervisor.handover import TRIAL, Handover

TIMEOUT_S = 60.0
#: Of what it says, the end is kept.
MAX_WORDS = 4000


class Trial:
    """Starts on construction. Raises OSError when no process can be started."""

    def __init__(self, handover: Handover) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        fd = handover.save()
        try:
            self._process = subprocess.Popen(
                [sys.executable, *sys.orig_argv[1:]],
                env={**os.environ, TRIAL: str(fd)},
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                pass_fds=[fd],
                start_new_session=True,
            )
        except OSError:
            self._said.close()
            raise
        finally:
            os.close(fd)
        self._ends_at = time.monotonic() + TIMEOUT_S

    def failure(self) -> str | None:
        """None while it is tried, "" when it would serve, else why not."""
        status = self._process.poll()
        if status is None and time.monotonic() < self._ends_at:
            return None
        if status == 0:
            return ""
        self._said.seek(0)
        words = self._said.read().decode(errors="replace").strip()[-MAX_WORDS:]
        return words or (f"it ended with {status}" if status is not None else f"it took longer than {TIMEOUT_S:.0f} s")

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._said.close()
