"""What the application was told: the requests it took, each job once, in the order in which it took them.

Also sees what no story shows: wrong signatures, ids that change their content, events that come under two ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.receiver import Received, WebhookReceiver
from tests.support.stories import Belief, read


@dataclass(frozen=True, slots=True)
class Told:
    """One event as it was taken first. `at` is time.monotonic()."""

    event: Mapping[str, Any]
    id: str
    attempt: int
    at: float


class Ledger:
    """Reads what the receiver got since it was asked last.

    :param repeats: whether the shared state may lose what it has answered: then something may be told anew, of which
        the end counts; but never under a `seq` that does not grow.
    """

    def __init__(self, receiver: WebhookReceiver, secret: str, repeats: bool = False) -> None:
        self._receiver = receiver
        self._secret = secret
        self._repeats = repeats
        self._seen = 0
        self._bodies: dict[str, bytes] = {}
        self._taken: set[str] = set()
        self._decided: dict[tuple[str, str, int], str] = {}
        self.history: list[Told] = []
        self.faults: list[str] = []
        self.counts: Counter[str] = Counter()

    def read(self) -> None:
        requests = self._receiver.requests
        for request in requests[self._seen :]:
            self._seen += 1
            self._take(request)

    def belief(self) -> Belief:
        """What the application believes now."""
        return self._read(self.history)[0]

    def wrong_stories(self) -> dict[str, list[str]]:
        """channel -> what is wrong with what was told of it."""
        channels: dict[str, list[Told]] = {}
        for told in self.history:
            channels.setdefault(told.event["channel"], []).append(told)
        stories = {channel: self._read(story)[1] for channel, story in channels.items()}
        return {channel: faults for channel, faults in stories.items() if faults}

    def of(self, channel: str) -> list[tuple[Received, Mapping[str, Any]]]:
        """Every request that told something of a channel, taken or not, with what it told."""
        return [
            (request, event)
            for request in list(self._receiver.requests)
            for event in request.events
            if event["channel"] == channel
        ]

    def _read(self, story: Sequence[Told]) -> tuple[Belief, list[str]]:
        return read((told.event for told in story), repeats=self._repeats, grows=True)

    def _take(self, request: Received) -> None:
        id, attempt = request.headers["x-webhook-id"], int(request.headers["x-webhook-attempt"])
        self.counts["requests"] += 1
        self.counts["retries"] += attempt > 1
        self.counts[f"answered {request.answer}"] += 1
        if not request.signed_with(self._secret):
            self.faults.append(f"job {id}, attempt {attempt}: the signature is wrong")
        if self._bodies.setdefault(id, request.body) != request.body:
            self.faults.append(f"job {id}, attempt {attempt}: its body is another one than before")
        if not request.accepted:
            return
        if id in self._taken:
            self.counts["duplicates"] += 1
            return
        self._taken.add(id)
        for event in request.events:
            key = (event["channel"], event.get("user_id", ""), event["seq"])
            if self._decided.setdefault(key, id) != id:
                self.faults.append(f"{event} came in job {self._decided[key]} and in job {id}")
            self.history.append(Told(event, id, attempt, request.at))
            self.counts["events"] += 1
