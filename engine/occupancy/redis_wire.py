"""What goes to the occupancy scripts and what comes back, as pure functions.

Redis is not trusted: whatever does not fit is left out, never raised.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from engine.app import Retention
from engine.config.event_types import SUBSCRIPTION_COUNT, TRANSITIONS
from engine.interfaces import Answer, KeptChange, Report, Transition
from engine.occupancy.redis_keys import fact

#: In place of a count: leave the subscriptions as they are.
UNCHANGED = -1

_WATCHED, _MEMBERS_WATCHED, _ROSTER, _ANNOUNCED, _COUNTED = 1, 2, 4, 8, 16
_SEQ_DIGITS = 16


def encode_reports(reports: Iterable[Report]) -> list[str | int]:
    """The arguments that `read_report` in occupancy_common.lua takes."""
    args: list[str | int] = []
    for report in reports:
        flags = (
            (_WATCHED if report.watched else 0)
            | (_MEMBERS_WATCHED if report.members_watched else 0)
            | (_ROSTER if report.roster else 0)
            | (_ANNOUNCED if report.announced else 0)
            | (_COUNTED if report.counted else 0)
        )
        args += (report.app_id, report.channel, report.count, report.limit, flags, report.settle_ms)
        args.append(len(report.members))
        for member in report.members:
            args += (member.user_id, member.count, member.user_info, member.socket_id, member.data, member.limit)
            args += (member.since_us, int(member.joined), member.left)
    return args


def encode_kept(kept: Iterable[KeptChange]) -> list[str | bytes | int]:
    """The streams that occupancy_commit.lua takes, and their number in front; each keeps the order of its changes."""
    streams: dict[tuple[str, Retention], list[bytes]] = {}
    for change in kept:
        streams.setdefault((fact(change.app_id, change.channel), change.retention), []).append(change.payload)
    args: list[str | bytes | int] = [len(streams)]
    for (place, retention), payloads in streams.items():
        args += (place, retention.count, retention.window_ms, retention.bytes, len(payloads), *payloads)
    return args


def decode_answer(raw: Any) -> Answer | None:
    """One answer of `apply` in occupancy_common.lua; None when it is none."""
    match raw:
        case int(total):
            return Answer(total)
        case [int(total), 1]:
            return Answer(total, refused=True)
        case [int(total), 0, int(version), roster, [*refused]]:
            users = tuple(user.decode("utf-8", "replace") for user in refused if isinstance(user, bytes))
            return Answer(
                total, version, None if roster is None else decode_members(pairs(roster)), refused_members=users
            )
    return None


def decode_members(raw: Iterable[tuple[Any, Any]]) -> dict[str, str]:
    """user id -> user_info from a members hash, whose values begin with two numbers and a space after each."""
    members = {}
    for user, value in raw:
        try:
            workers, since_us, info = value.decode().split(" ", 2)
            if workers.isdigit() and since_us.isdigit():
                members[user.decode()] = info
        except (ValueError, AttributeError):
            continue
    return members


def decode_transition(entry: Any, score: Any) -> Transition | None:
    """One entry of the log; None when it is none."""
    try:
        name, app_id, channel, time_ms, user_id, socket_id, data = orjson.loads(entry[_SEQ_DIGITS:])
        texts = (app_id, channel, user_id, socket_id, data)
        if name not in TRANSITIONS or not isinstance(time_ms, int) or not all(isinstance(text, str) for text in texts):
            return None
        if name == SUBSCRIPTION_COUNT and not (data.isascii() and data.isdecimal()):
            return None
        seq, due_ms = int(entry[:_SEQ_DIGITS]), int(float(score)) // 1000
        return Transition(entry, name, app_id, channel, seq, time_ms, due_ms, user_id, socket_id, data)
    except (ValueError, TypeError, OverflowError):
        return None


def pairs(flat: Any) -> Iterable[tuple[Any, Any]]:
    """(field, value) of a flat reply; nothing when it is no list."""
    return zip(flat[::2], flat[1::2], strict=False) if isinstance(flat, list) else ()


def count_of(raw: Any) -> int:
    """A count as the scripts read it: 0 for whatever is none."""
    try:
        return max(0, int(raw or 0))
    except ValueError:
        return 0
