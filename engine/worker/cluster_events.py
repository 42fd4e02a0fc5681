"""What other workers announce, and the part of this worker that each kind of it is for. Decides nothing itself."""

from __future__ import annotations

from collections.abc import Callable

from engine.interfaces import ClusterEvents, TotalChange
from engine.protocol.channel import WATCH_PREFIX
from engine.worker.outages import Outages
from engine.ws.rosters import Rosters
from engine.ws.subscription_counts import SubscriptionCounts
from engine.ws.users import Users


def cluster_events(
    users: Users,
    rosters: Rosters,
    counts: SubscriptionCounts,
    outages: Outages,
    *,
    on_watched: Callable[[TotalChange], None],
    on_wake: Callable[[], None],
    on_trace: Callable[[bytes], None],
) -> ClusterEvents:
    """:param on_watched: called with the connections of a user who is watched by a client of this worker.
    :param on_wake: called when the leader, in this worker or another, has something to do.
    :param on_trace: called with what an operator at another node asks for.
    """

    def on_total_change(change: TotalChange) -> None:
        if change.channel.startswith(WATCH_PREFIX):
            on_watched(change)
        else:
            counts.changed(change)

    return ClusterEvents(
        on_member_change=rosters.changed,
        on_total_change=on_total_change,
        on_terminate=users.terminate,
        on_wake=on_wake,
        on_connected=outages.on_adapter,
        on_missed=outages.on_missed,
        on_trace=on_trace,
    )
