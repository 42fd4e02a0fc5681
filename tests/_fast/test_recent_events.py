"""Events that came, and events that were delivered without having come, are told apart by more than their time."""

from __future__ import annotations

from engine._fast.envelope import pack_event
from engine._fast.frame import text_frame
from engine._fast.hub import Channel
from engine._fast.recent_events import RecentEvents
from engine._fast.traffic import Traffic

TIME = slice(2, 10)


def event(number: int) -> bytes:
    return pack_event(b"", text_frame(b'{"event":"e","channel":"room","data":"{\\"n\\":%d}"}' % number))


def at_one_time(first: bytes, *others: bytes) -> list[bytes]:
    """As different workers publish them in the same microsecond."""
    return [first, *(other[: TIME.start] + first[TIME] + other[TIME.stop :] for other in others)]


def test_what_others_publish_in_the_same_microsecond_is_news() -> None:
    room, other = (Channel(name, Traffic("app")) for name in ("room", "other"))
    recent = RecentEvents()
    own, theirs = at_one_time(event(1), event(2))
    assert recent.miss(room, own, True)
    assert recent.hear(room, theirs)
    assert recent.hear(other, own)
    assert not recent.hear(room, own)
    assert recent.hear(room, own)


def test_what_has_come_is_not_missing() -> None:
    room = Channel("room", Traffic("app"))
    recent = RecentEvents()
    came, did_not = at_one_time(event(1), event(2))
    assert recent.hear(room, came)
    assert not recent.miss(room, came, True)
    assert recent.miss(room, did_not, False)
    # It was never sent, and so nothing of the kind is passed over.
    assert recent.hear(room, did_not)
