"""What is kept of a coming or going, and who was there at a moment by what is kept."""

from __future__ import annotations

import json

import orjson
import pytest

from engine.history.presence import Moment, event_of, payload_of, snapshot
from engine.interfaces import Kept, Stream, Transition


def transition(name: str, user: str = "u", *, time_ms: int = 5, socket: str = "1.1", data: str = "") -> Transition:
    return Transition(b"", name, "app", "presence-x", 7, time_ms, 0, user, socket, data)


def events(*words: str) -> list[Kept]:
    """ "+a@3": a came in ms 3, and that was kept 10 ms later."""
    found = []
    for serial, word in enumerate(words, 1):
        user, _, ms = word[1:].partition("@")
        name = "member_added" if word[0] == "+" else "member_removed"
        found.append(Kept(serial, int(ms) + 10, payload_of(transition(name, user, time_ms=int(ms)))))
    return found


def there(kept: list[Kept], now: str, moment: Moment) -> str:
    return "".join(member.user_id for member in snapshot(kept, now, moment).members)


def test_a_coming_is_kept_with_who_it_is() -> None:
    data = json.dumps({"user_id": "u", "user_info": {"name": "Ada"}})
    assert orjson.loads(payload_of(transition("member_added", data=data))) == {
        "event": "member_added",
        "cause": "join",
        "user_id": "u",
        "connection_id": "1.1",
        "user_info": {"name": "Ada"},
        "dead_node_id": None,
        "time_ms": 5,
        "seq": 7,
    }


@pytest.mark.parametrize("data", ["", "[]", '{"user_id":"u"}', "x"])
def test_a_coming_without_user_info(data: str) -> None:
    assert orjson.loads(payload_of(transition("member_added", data=data)))["user_info"] is None


def test_a_going_is_kept_with_its_cause() -> None:
    gone = orjson.loads(payload_of(transition("member_removed")))
    assert (gone["cause"], gone["connection_id"]) == ("disconnect", "1.1")
    gone = orjson.loads(payload_of(transition("member_removed", socket="")))
    assert (gone["cause"], gone["connection_id"]) == ("orphan_cleanup", None)


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"event":1,"user_id":"u","time_ms":1}', b"\xff"])
def test_what_somebody_else_wrote_is_no_event(payload: bytes) -> None:
    kept = Kept(1, 1, payload)
    assert event_of(kept) is None
    assert snapshot([kept], "", Moment()).counted == 0


@pytest.mark.parametrize(
    ("at_ms", "expected"), [(None, "bd"), (2, "d"), (3, "ad"), (5, "abd"), (6, "abd"), (7, "bd"), (1, "cd"), (0, "cd")]
)
def test_who_was_there(at_ms: int | None, expected: str) -> None:
    """a came and went; b came; c, who had come before all that is kept, went; d has been there all the time."""
    kept = events("-c@2", "+a@3", "+b@5", "-a@7")
    assert there(kept, "bd", Moment(at_ms)) == expected


def test_a_moment_goes_by_when_things_happened() -> None:
    """a went first, but that settled, and was kept behind b's coming."""
    kept = events("+a@1", "+b@5", "-a@3")
    assert [there(kept, "b", Moment(ms)) for ms in (1, 3, 5)] == ["a", "", "b"]


def test_up_to_a_serial() -> None:
    kept = events("+a@1", "-a@2", "+b@3")
    assert [there(kept, "b", Moment(serial=n)) for n in (0, 1, 2, 3, 9)] == ["", "a", "", "b", "b"]
    found = snapshot(kept, "b", Moment(serial=2))
    assert (found.counted, found.last) == (2, kept[1])
    (member,) = snapshot(kept, "bd", Moment(serial=3)).members[:1]
    assert (member.user_id, member.came) == ("b", kept[2])
    assert snapshot(kept, "d", Moment(serial=3)).members[1].came is None


@pytest.mark.parametrize(
    ("moment", "stream", "covered"),
    [
        (Moment(), Stream("x", 9, 5, 50, 90, gone_ms=40), True),
        (Moment(40), Stream("x", 9, 5, 50, 90, gone_ms=40), True),
        (Moment(39), Stream("x", 9, 5, 50, 90, gone_ms=40), False),
        (Moment(serial=4), Stream("x", 9, 5, 50, 90, gone_ms=40), True),
        (Moment(serial=3), Stream("x", 9, 5, 50, 90, gone_ms=40), False),
        (Moment(50), Stream("x", 9, 1, 50, 90), True),
        (Moment(49), Stream("x", 9, 1, 50, 90), False),
        (Moment(60), Stream("x", 9, 1, 50, 90, broken_ms=70), False),
        (Moment(90), Stream("x", 9, 10, 0, 90, gone_ms=90), True),
        (Moment(90), Stream(""), False),
        (Moment(), Stream(""), True),
    ],
)
def test_whether_all_that_followed_is_kept(moment: Moment, stream: Stream, covered: bool) -> None:
    assert moment.is_covered(stream) is covered
