"""What a client heard between its returns, and whether that is every event once, in order, or a gap that was reported.

A diary is a list of `["back"]` (it is subscribed), `["gap", reason]` and `["run", first, last]`, events in a row; what
else stands there is for people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Entry = Sequence[Any]


def note(diary: list[list[Any]], event: int) -> None:
    """An event was heard."""
    if diary and diary[-1][0] == "run" and diary[-1][2] + 1 == event:
        diary[-1][2] = event
    else:
        diary.append(["run", event, event])


@dataclass
class Verdict:
    """:ivar returns: after which at least one event came that the client had not.
    :ivar replayed: events that came again after a return, as they do to a client that asks by time.
    :ivar wrong: what no client may see.
    """

    returns: int = 0
    replayed: int = 0
    gaps: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Verdict) -> None:
        self.returns += other.returns
        self.replayed += other.replayed
        self.gaps += other.gaps
        self.wrong += other.wrong


def judge(who: str, diary: Iterable[Entry], repeated: Collection[int], end: int) -> Verdict:
    """:param repeated: events that were published twice, since no answer came. :param end: the last event of all."""
    found = Verdict()
    last: int | None = None  # the newest that it knows
    here: int | None = None  # the newest since it came back
    excused = returning = False
    diary = list(diary)
    for number, entry in enumerate(diary):
        if entry[0] == "back":
            here, returning = None, last is not None
            continue
        if entry[0] == "gap":
            found.gaps[entry[1]] += 1
            excused = True
            continue
        if entry[0] != "run":
            continue
        _, first, newest = entry
        if here is not None and first <= here:
            again = [event for event in range(first, min(newest, here) + 1) if event not in repeated]
            if again:
                found.wrong.append(f"{who}: {again[0]} came twice or late, entry {number}")
        elif here is not None and first > here + 1 and not excused:
            found.wrong.append(f"{who}: after {here} came {first}, entry {number}")
        elif last is not None and first > last + 1 and not excused:
            found.wrong.append(f"{who}: came back after {last} to {first}, and no gap was reported, entry {number}")
        if last is not None and here is None:
            found.replayed += max(0, min(last, newest) - first + 1)
        here = newest if here is None else max(here, newest)
        if last is None or newest > last:
            last, excused = newest, False
            found.returns += returning
            returning = False
    # Who came back when all that was kept had gone, and nothing more was published, has the gap alone.
    if last != end and not excused:
        found.wrong.append(f"{who}: ended with {last} instead of {end}: {diary[-8:]}")
    return found
