"""What workers hear of members over pub/sub: each change once, in order, and none that a roster already had.

Owned by the oracle, which says what has changed; this compares it with what the script published.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.lives import Violation
from tests.simulation.plan import APP, TOPICS
from tests.simulation.server import Done

_HEAD = struct.Struct(">BQH")
ADDED, REMOVED = 2, 3


@dataclass(slots=True)
class Heard:
    """:ivar expected: (channel, user, whether they came) of the script that is being looked at."""

    expected: list[tuple[str, str, bool]] = field(default_factory=list)
    #: channel -> the version that the next change must exceed, and the least that the next roster may have.
    _versions: dict[str, int] = field(default_factory=dict)
    _changed: dict[str, int] = field(default_factory=dict)

    def check(self, done: Done) -> None:
        """Compare, and forget what was expected."""
        heard = []
        for topic, message in done.pushed:
            place = topic.decode().removeprefix(TOPICS)
            if not place.startswith(f"{APP}/presence-"):
                continue
            kind, version, size = _HEAD.unpack_from(message)
            channel, user = place.removeprefix(f"{APP}/"), message[_HEAD.size : _HEAD.size + size].decode()
            heard.append((channel, user, kind == ADDED))
            if version <= self._versions.get(channel, 0):
                raise Violation(f"{channel} is at {self._versions[channel]}, and {user} changes at {version}")
            self._versions[channel] = self._changed[channel] = version
        if heard != self.expected:
            raise Violation(f"{done.name} let workers hear {heard}, and should have {self.expected}")
        self.expected = []

    def roster(self, channel: str, answer: list[Any]) -> None:
        """Somebody is told the members at this version, and every change after it."""
        if answer[2] < self._changed.get(channel, 0):
            raise Violation(f"{channel} is at {self._changed[channel]}, and its members are told as of {answer[2]}")
        self._versions[channel] = max(answer[2], self._versions.get(channel, 0))

    def lost(self, blur_us: int) -> None:
        """The server has forgotten changes; the next is numbered by its clock, ahead of which numbers may have run."""
        self._changed.clear()
        self._versions = {channel: version - blur_us for channel, version in self._versions.items()}
