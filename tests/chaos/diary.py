"""What was done, when, and how often: faults, the endpoint's moods, and what guests did in each channel.

Written from one event loop; read by the judge and the report, which show what was around a fault of a story.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """`at` is time.monotonic(); `channel` is "" for what concerns all."""

    at: float
    text: str
    channel: str


class Diary:
    """:param say: gets each line about what concerns all, as it is written."""

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        self.began = time.monotonic()
        self.notes: list[Note] = []
        self.counts: Counter[str] = Counter()
        self._say = say

    def note(self, text: str, channel: str = "") -> None:
        note = Note(time.monotonic(), text, channel)
        self.notes.append(note)
        if self._say is not None and not channel:
            self._say(f"{self.since(note.at):8.2f}  {text}")

    def count(self, what: str, by: int = 1) -> None:
        self.counts[what] += by

    def since(self, at: float) -> float:
        """Seconds from the beginning."""
        return at - self.began
