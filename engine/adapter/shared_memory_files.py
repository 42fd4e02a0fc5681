"""The descriptors of a shared log: made by the supervisor, inherited by every worker, which opens the log by them.

They outlive workers, so a worker that dies leaves the log whole and its successor takes its place in it. Nothing here
reads the log.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from engine._fast.shared_log import SharedLog, log_bytes

#: Messages that a reader may be behind.
PLACES = 65536
#: Bytes of its messages that a writer keeps; memory is taken as it is first used.
ARENA_BYTES = 8 * 1024 * 1024
#: A log takes messages of up to a quarter of an arena; a character of an event takes up to six in the JSON text of its
#: frame; names, and what else is in it, are far shorter than this.
SHARE, ESCAPED, AROUND_BYTES = 4, 6, 64 * 1024


@dataclass(frozen=True, slots=True)
class LogFiles:
    """:ivar wakers: an eventfd for each worker."""

    memory: int
    wakers: tuple[int, ...]
    arena_bytes: int

    @classmethod
    def create(cls, workers: int, longest_event: int) -> LogFiles:
        """New, with nothing in it; for events of so many bytes."""
        longest = SHARE * (ESCAPED * longest_event + AROUND_BYTES)
        arena_bytes = max(ARENA_BYTES, 1 << (longest - 1).bit_length())
        memory = os.memfd_create("engine-log")
        os.ftruncate(memory, log_bytes(workers, PLACES, arena_bytes))
        wakers = tuple(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK) for _ in range(workers))
        return cls(memory, wakers, arena_bytes)

    @property
    def all(self) -> tuple[int, ...]:
        return (self.memory, *self.wakers)

    def open(self, worker: int) -> SharedLog:
        return SharedLog(self.memory, list(self.wakers), worker, PLACES, self.arena_bytes)

    def close(self) -> None:
        for fd in self.all:
            os.close(fd)
