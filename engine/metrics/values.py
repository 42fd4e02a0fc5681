"""Where a process keeps the numbers of its metrics: in memory, or in files that the supervisor can read.

Written by `registry.py`; read back by `page.py`. One writer for each slot; not thread-safe.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from prometheus_client.mmap_dict import MmapedDict

_COUNTS = ".counts.db"
LEVELS = ".levels.db"


class Values(Protocol):
    """Numbers by key. A count only grows and outlives the process; a level is gone with the process that set it."""

    def add(self, key: str, amount: float) -> None: ...

    def set(self, key: str, level: float) -> None: ...

    def get(self, key: str) -> float: ...

    def close(self) -> None: ...


class MemoryValues:
    """For a process that nobody collects from, such as a test."""

    def __init__(self) -> None:
        self.numbers: defaultdict[str, float] = defaultdict(float)

    def add(self, key: str, amount: float) -> None:
        self.numbers[key] += amount

    def set(self, key: str, level: float) -> None:
        self.numbers[key] = level

    def get(self, key: str) -> float:
        return self.numbers.get(key, 0.0)

    def close(self) -> None:
        """Nothing is open."""


class MappedValues:
    """Two memory-mapped files for a slot: written without a system call, readable at any moment and after a kill.

    The counts of the slot's former process are taken over, so they never fall; its levels are dropped. Opens its files
    when it is made.

    :param slot: names the files; at most one living process may use it.
    """

    def __init__(self, directory: str | Path, slot: int | str) -> None:
        directory = Path(directory)
        forget(directory, slot)
        self._counts = MmapedDict(str(directory / f"{slot}{_COUNTS}"))  # type: ignore[no-untyped-call]
        self._levels = MmapedDict(str(directory / f"{slot}{LEVELS}"))  # type: ignore[no-untyped-call]
        self._open = True

    def add(self, key: str, amount: float) -> None:
        if self._open:
            counts = self._counts
            counts.write_value(key, counts.read_value(key)[0] + amount, 0.0)  # type: ignore[no-untyped-call]

    def set(self, key: str, level: float) -> None:
        if self._open:
            self._levels.write_value(key, level, 0.0)  # type: ignore[no-untyped-call]

    def get(self, key: str) -> float:
        found = 0.0
        for mapped in (self._counts, self._levels) if self._open else ():
            for known, number, _ in mapped.read_all_values():  # type: ignore[no-untyped-call]
                found += number if known == key else 0.0
        return found

    def close(self) -> None:
        """Close the files; what comes later is dropped, so that the last parts to stop need not care."""
        if self._open:
            self._open = False
            self._counts.close()  # type: ignore[no-untyped-call]
            self._levels.close()  # type: ignore[no-untyped-call]


def read_all(directory: Path) -> Iterator[tuple[str, float]]:
    """(key, number) of every slot; the same key comes once for each slot that has it."""
    for _, key, number in read_slots(directory):
        yield key, number


def read_slots(directory: Path) -> Iterator[tuple[str, str, float]]:
    """(slot, key, number) of every slot."""
    for path in sorted(directory.glob("*.db")):
        slot = path.name.partition(".")[0]
        try:
            for key, number, *_ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
                yield slot, key, number
        except FileNotFoundError:
            continue  # its process has just been forgotten


def forget(directory: Path, slot: int | str) -> None:
    """Drop the levels of a slot whose process is gone."""
    (directory / f"{slot}{LEVELS}").unlink(missing_ok=True)
