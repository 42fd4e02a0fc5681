"""Numbered events, and what each connection heard of them: how many were lost, came twice or out of order. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sent:
    """One accepted event of a channel. `began` and `ended` frame its request, by time.monotonic()."""

    channel: str
    number: int
    began: float
    ended: float


@dataclass(slots=True)
class Session:
    """One connection of a listener.

    :ivar since: channel -> when its subscription was acknowledged. :ivar heard: channel -> numbers, in order.
    :ivar ended: whether the connection was lost; what it would have heard after its last number nobody knows.
    """

    since: dict[str, float] = field(default_factory=dict)
    heard: dict[str, list[int]] = field(default_factory=dict)
    ended: bool = False


@dataclass(slots=True)
class Tally:
    """:ivar lost: of what was accepted while all was well. :ivar missed: of what was accepted in the outage.
    :ivar doubled: of what was accepted while all was well. :ivar repeated: of all else, that which came twice.
    """

    lost: int = 0
    missed: int = 0
    doubled: int = 0
    repeated: int = 0
    disordered: int = 0


def tally(sent: Sequence[Sent], sessions: Iterable[Session], outage: tuple[float, float]) -> Tally:
    """:param outage: from when to when something was broken, or not mended yet."""
    found = Tally()
    for session in sessions:
        for channel, since in session.since.items():
            heard = session.heard.get(channel, [])
            newest = max(heard, default=0)
            there = set(heard)
            well = {event.number for event in sent if event.channel == channel and not _within(event, outage)}
            again = Counter(heard)
            found.doubled += sum(again[number] - 1 for number in there & well)
            found.repeated += sum(again[number] - 1 for number in there - well)
            found.disordered += _disordered(heard)
            for event in sent:
                if event.channel != channel or event.began < since or event.number in there:
                    continue
                if session.ended and event.number > newest:
                    continue
                if _within(event, outage):
                    found.missed += 1
                else:
                    found.lost += 1
    return found


def _within(event: Sent, outage: tuple[float, float]) -> bool:
    return event.ended >= outage[0] and event.began <= outage[1]


def _disordered(heard: Sequence[int]) -> int:
    newest, seen, count = 0, set[int](), 0
    for number in heard:
        count += number < newest and number not in seen
        newest = max(newest, number)
        seen.add(number)
    return count


def percentile(values: Sequence[float], share: float) -> float:
    """0.0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
