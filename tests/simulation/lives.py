"""Who lives and who leads, as the server was told: nobody given up is heard again, nobody is given up without need.

Owned by the oracle, which shows it every script before it looks at facts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.occupancy.failure_detector import MAX_STEP
from tests.simulation.server import Done


class Violation(AssertionError):
    """Something that must never happen has happened."""


@dataclass(slots=True)
class Lives:
    """:param timeout_s: silence after which a worker counts as dead. :ivar known: incarnations that have joined and are
    not forgotten. :ivar given_up: those of them that left, or whose purge has begun.
    """

    timeout_s: float
    known: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)
    #: incarnation -> number of its newest report that was taken.
    turns: dict[str, int] = field(default_factory=dict)
    #: Those that were alive when the server lost its data, and that it does not know any more.
    _forgotten: set[str] = field(default_factory=set)
    #: incarnation -> when its last heartbeat was taken.
    _beats: dict[str, float] = field(default_factory=dict)
    #: (when it ended, seconds) of each time without a server.
    _gaps: list[tuple[float, float]] = field(default_factory=list)

    def away(self, until_s: float, seconds: float) -> None:
        """The server was not there, so that no heartbeat could come and nobody could look at them."""
        self._gaps.append((until_s, seconds))

    def lost(self, known: set[str], given_up: set[str], turns: dict[str, int]) -> None:
        """The server knows no more than this."""
        self._forgotten = (self._forgotten | self.known) - known
        self.known, self.given_up, self.turns = set(known), set(given_up), dict(turns)
        # A replica has older heartbeats: who looked seldom may have seen nothing else for long.
        self._beats.clear()

    def check(self, done: Done) -> None:
        self._check_leader(done)
        self._check_noticed(done)
        match done.name:
            case "occupancy_join":
                self._joined(done.args[1].decode(), done.args[2] == b"0", isinstance(done.reply, bytes), done.now_s)
            case "occupancy_report":
                worker = done.args[1].decode()
                if worker not in self.known - self.given_up and isinstance(done.reply, list):
                    raise Violation(f"{worker} was given up, and its report was taken")
                if done.reply is None:
                    self._refuse(worker)
                elif isinstance(done.reply, list):
                    self.turns[worker] = int(done.args[2])
            case "occupancy_leave":
                self._refuse(done.args[1].decode())
            case "occupancy_purge" if done.reply >= 0:
                self._purged(done.args[2].decode(), done.now_s)
                if done.reply == 0:
                    self.known.discard(done.args[2].decode())
                    self.turns.pop(done.args[2].decode(), None)
                    self.given_up.discard(done.args[2].decode())

    def _check_leader(self, done: Done) -> None:
        who, leads = done.args[1], done.lease
        acted = done.name == "occupancy_commit" and done.reply == 1
        acted |= done.name == "occupancy_purge" and done.reply >= 0
        acted |= done.name == "occupancy_audit" and done.reply[0] >= 0
        if acted and who != leads:
            raise Violation(f"{done.name} of {who.decode()} was done, while the lease is {leads!r}'s")
        if done.name == "occupancy_lease" and done.reply == 1 and leads not in (None, who):
            raise Violation(f"{who.decode()} took the lease, which is {leads!r}'s")

    def _check_noticed(self, done: Done) -> None:
        """A worker of which the server has lost something is refused, and the epoch is not the one it knows."""
        if done.name not in ("occupancy_join", "occupancy_report"):
            return
        if done.name == "occupancy_join" and done.args[2] == b"1":
            return
        worker, answered, epoch = done.args[1].decode(), int(done.args[3]), done.args[4]
        went_back = worker in self.known and answered > self.turns.get(worker, 0)
        if not went_back and worker not in self._forgotten - self.known:
            return
        # A report that a newer one has overtaken is refused before anything else is asked.
        if done.reply not in (0, None):
            raise Violation(f"the server has lost what {worker} told, and {done.name} does not notice")
        if done.epoch == epoch and not (done.name == "occupancy_report" and done.reply == 0):
            raise Violation(f"the server has lost what {worker} told, and the epoch stays")

    def _joined(self, worker: str, is_beat: bool, taken: bool, now_s: float) -> None:
        if not taken:
            self._refuse(worker)
            return
        if worker in self.given_up or (is_beat and worker not in self.known):
            raise Violation(f"{worker} was given up, and is taken for alive again")
        self.known.add(worker)
        # Whatever the server had lost of it, it has begun anew.
        self._forgotten.discard(worker)
        self._beats[worker] = now_s

    def _refuse(self, worker: str) -> None:
        if worker in self.known:
            self.given_up.add(worker)

    def _purged(self, worker: str, now_s: float) -> None:
        if worker not in self.given_up and worker in self._beats:
            gaps = [seconds for until_s, seconds in self._gaps if until_s > self._beats[worker]]
            silent_s = now_s - self._beats[worker] - sum(gaps)
            # Each gap may count as one step.
            if silent_s < self.timeout_s * (1 - MAX_STEP * len(gaps)) - 0.001:
                raise Violation(f"{worker} is given up after {silent_s:.2f} s of silence")
        self.given_up.add(worker)
