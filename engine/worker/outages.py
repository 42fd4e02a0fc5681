"""What a worker does while something that it needs cannot be reached, and once it is back.

It sets the reasons that `/ready` gives, and has compared with the shared state what changed unheard meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.app_manager import AppManager
from engine.http.health import Health
from engine.interfaces import Answer
from engine.metrics.metrics import Metrics
from engine.protocol.channel import is_server_owned
from engine.ws.rosters import Rosters
from engine.ws.subscription_counts import SubscriptionCounts


class Outages:
    """:param compare: has the reporter compare what this worker keeps with the shared state.
    :param ask_watched: has the watchlists ask again who is online.
    """

    def __init__(
        self,
        health: Health,
        metrics: Metrics,
        apps: AppManager,
        rosters: Rosters,
        counts: SubscriptionCounts,
        *,
        compare: Callable[[], None],
        ask_watched: Callable[[], None],
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._apps = apps
        self._rosters = rosters
        self._counts = counts
        self._compare = compare
        self._ask_watched = ask_watched
        #: Called when another server may have taken the old one's place.
        self.doubt: Callable[[], None] = _nothing
        self._adapter_was_up = self._adapter_missed = False

    def on_stale(self, stale: bool) -> None:
        """The applications are (or are no longer) too old to let anybody in by them."""
        self._apps.stale = stale
        self._note("apps", "the applications cannot be read", over=not stale)

    def on_store(self, connected: bool) -> None:
        """Shared state is lost or found again; the reporter compares by itself."""
        self._note("store", "shared state cannot be reached", over=connected)

    def on_server(self, wrong: str) -> None:
        """Redis lacks something that the engine needs, or nothing any more."""
        self._note("server", wrong, over=not wrong)

    def on_adapter(self, connected: bool, reason: str) -> None:
        """The links to other workers are lost or found again."""
        self._note("adapter", reason, over=connected)
        self._metrics.adapter.connected.set(connected)
        if not connected:
            self.doubt()
        self._adapter_missed |= self._adapter_was_up and not connected
        self._adapter_was_up |= connected
        if connected and self._adapter_missed:
            # Changes that others published meanwhile were not heard here.
            self._adapter_missed = False
            self._compare()

    def on_missed(self, _: int) -> None:
        """So many messages of other workers were written over unread; as after a lost connection."""
        self._compare()

    def on_resyncing(self, resyncing: bool) -> None:
        """The shared state may (or can no longer) lack what other workers hold."""
        self._rosters.resyncing = resyncing
        if not resyncing:
            self._ask_watched()

    def on_roster(self, app_id: str, channel: str, answer: Answer, final: bool) -> None:
        """How a channel is in truth, asked after trouble; see `Reporter`."""
        if answer.roster is not None:
            self._rosters.resync(app_id, channel, answer.roster, answer.version, final)
        elif final and not is_server_owned(channel):
            self._counts.resync(app_id, channel, answer.total)

    def _note(self, part: str, reason: str, *, over: bool) -> None:
        if over:
            self._health.clear(part)
        else:
            self._health.set(part, reason)


def _nothing() -> None:
    """There is no server to doubt."""
