"""What is started by `with` and stopped at its end, also if the start fails half way.

The base of the servers that tests start.
"""

from __future__ import annotations

from typing import Self


class Started:
    """`start` may be called again after whatever a test did; `stop` is for good."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError
