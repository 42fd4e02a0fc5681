"""Which facts a loss of data excuses: those whose only witness died before or after the server forgot them.

That is two faults at once, of which nothing is promised. Kept by the world, asked by the judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.simulation.oracle import Fact, Oracle, State


class Excuses:
    """:ivar lossy: whether the server has ever lost data. :ivar facts: those of which nothing is promised any more."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self._owed: dict[str, set[Fact]] = {}
        self.lossy = False
        self.facts: set[Fact] = set()

    def lost(self, living: Mapping[str, str], state: State) -> None:
        """The server is about to know no more than this.

        :param living: incarnation -> name of its worker.
        """
        self.lossy = True
        for incarnation, facts in self._oracle.facts.items():
            told = {told.fact for told in self._oracle.waiting() if told.by == incarnation}
            known = {fact for fact, n in facts.items() if n} | told
            if incarnation in living:
                self._owed.setdefault(living[incarnation], set()).update(known)
            else:
                self.facts |= known
        self.facts |= {told.fact for told in self._oracle.waiting() if told.by not in self._oracle.facts}
        # Given up and told lately, and now held by nobody's hand again: who comes there is not told as new.
        for incarnation, facts in state.facts.items():
            before = self._oracle.facts.get(incarnation, {})
            again = {fact for fact, n in facts.items() if n and not before.get(fact)}
            if incarnation in living:
                self._owed.setdefault(living[incarnation], set()).update(again)
            else:
                self.facts |= again

    def died(self, name: str, held: Iterable[Fact]) -> None:
        """A worker has ended, and with it what only it remembered."""
        if self.lossy:
            self.facts |= self._owed.get(name, set()) | set(held)
