"""Which channels of an application keep their events, or who came and went, how much of it, and what a new subscriber
is given of that.

Values only; `apps/build.py` makes `app.HistoryRule` and `app.PresenceRule` of them.
"""

from __future__ import annotations

from typing import Annotated

from engine.config.base import Flag, Section, text, whole

#: The most that one channel may keep.
MAX_COUNT, MAX_SECONDS, MAX_BYTES = 10_000, 7 * 24 * 3600, 64 * 1024 * 1024

Count = Annotated[int, whole(1, MAX_COUNT)]
Seconds = Annotated[int, whole(1, MAX_SECONDS)]
ChannelPattern = Annotated[
    str,
    text(
        r"(?!#)[A-Za-z0-9_=@,.;:*-]{1,200}",
        "a channel's name, in which * stands for any characters, such as private-orders-*",
    ),
]


class ReplayConfig(Section):
    """What every subscriber is given after its acknowledgement; at least one of the two bounds it.

    :param count: the newest so many. :param seconds: those of the last so many seconds.
    """

    count: Count | None = None
    seconds: Seconds | None = None


class HistoryRuleConfig(Section):
    """The first rule whose pattern fits a channel's name holds for it.

    :param channels: the whole name, * for any characters.
    :param count: :param seconds: :param bytes: events kept of each channel: the newest that keep all three bounds.
    :param client_events: whether clients' own events are kept too.
    """

    channels: ChannelPattern
    count: Count = 100
    seconds: Seconds = 300
    bytes: Annotated[int, whole(1024, MAX_BYTES)] = 1024 * 1024
    client_events: Flag = False
    replay: ReplayConfig | None = None


class PresenceRuleConfig(Section):
    """The first rule whose pattern fits a presence channel's name holds for it.

    :param channels: the whole name, * for any characters.
    :param count: :param seconds: :param bytes: changes kept of each channel: the newest that keep all three bounds.
    """

    channels: ChannelPattern
    count: Count = 1000
    seconds: Seconds = 24 * 3600
    bytes: Annotated[int, whole(1024, MAX_BYTES)] = 1024 * 1024
