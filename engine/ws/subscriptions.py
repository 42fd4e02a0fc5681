"""Subscribing and leaving: authorise, be subscribed between workers, be counted, be acknowledged, in that order.

Every way in can be broken off at any step (the client leaves, or asks to); `_abandon` undoes exactly what was done. No
rule of signatures or names is here: those are in `protocol/`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from engine._fast.connection import Connection
from engine._fast.frame import text_frame
from engine._fast.hub import Channel, Hub, Pending
from engine._fast.member import Member
from engine.errors import CloseCode, PusherError, StoreUnavailable, SubscriptionError
from engine.history.replay import NOTHING_REPLAYED, ReplayedFrames, Replays, ResolvedReplay, resolve_replay
from engine.interfaces import Adapter, Answer, CacheStore
from engine.metrics.metrics import Metrics
from engine.occupancy.reporter import Reporter
from engine.protocol import auth, messages
from engine.protocol.channel import channel_kind, is_server_owned, user_of, valid_channel_name
from engine.protocol.json_values import spelled
from engine.protocol.messages import SubscribeRequest
from engine.tap.tap import NOBODY, Tap
from engine.tasks import serve
from engine.webhooks.emitter import Emitter
from engine.ws.limits import check_channels
from engine.ws.rosters import Rosters
from engine.ws.state import Joining
from engine.ws.subscription_counts import SubscriptionCounts

_log = logging.getLogger(__name__)

#: No change of members has a higher version.
NEWEST = 2**64 - 1


class Subscriptions:
    """Who of this worker's connections is in which channel."""

    def __init__(
        self,
        hub: Hub,
        adapter: Adapter,
        reporter: Reporter,
        rosters: Rosters,
        counts: SubscriptionCounts,
        cache: CacheStore,
        replays: Replays,
        emitter: Emitter,
        metrics: Metrics,
        tap: Tap = NOBODY,
    ) -> None:
        self._tap = tap
        self._hub = hub
        self._adapter = adapter
        self._reporter = reporter
        self._rosters = rosters
        self._counts = counts
        self._cache = cache
        self._replays = replays
        self._emitter = emitter
        self._metrics = metrics.channels
        # Reads under way; kept so that they are not collected.
        self._reading: set[asyncio.Task[None]] = set()

    # --- asked for by clients

    def subscribe(self, connection: Connection, request: SubscribeRequest) -> None:
        """pusher:subscribe (N-7 to N-17). Raises PusherError when it is refused at once; later refusals are sent."""
        app, state = connection.app, connection.state
        name = request.channel
        user_id = user_of(name)
        if user_id is not None:
            self._subscribe_to_user(connection, name, user_id)
            return
        if not valid_channel_name(name, app.max_channel_name_length):
            raise SubscriptionError(name, "The channel name is not allowed.", status=CloseCode.UNAUTHORIZED)
        if self.is_in(connection, name) or state.is_joining(name):
            raise PusherError(None, f"Existing subscription to channel {name}")
        check_channels(self._hub, connection, name)
        kind = channel_kind(name)
        if kind.needs_auth:
            data = auth.verify_channel_auth(app, connection.socket_id, name, request.auth, request.channel_data)
        else:
            data = None
        asked = None if data is None else auth.parse_replay(name, data)
        member = self._member(connection, request, data) if kind.is_presence else None
        state.authorized = state.authorized or kind.needs_auth
        rule = app.history_rule(name) if app.history else None
        if asked is None and (rule is None or rule.replay is None):
            self.join(connection, name, member, self._on_counted_cache if kind.is_cache else self._on_counted)
        else:
            self.join(connection, name, member, functools.partial(self._on_counted_replay, resolve_replay(rule, asked)))

    def unsubscribe(self, connection: Connection, name: str) -> None:
        """pusher:unsubscribe; unknown channels are passed over in silence (N-24)."""
        if is_server_owned(name):
            return  # a signed-in connection stays reachable for its user's messages, and a watcher watches on
        joining = connection.state.pop_joining(name)
        if joining is not None:
            self._abandon(joining)
            return
        channel = self._hub.channel(connection.app.id, name)
        if channel is not None and self._hub.leave(connection, channel):
            self._left(connection, channel)

    def drop(self, connection: Connection) -> None:
        """The connection is gone: leave everything it was in or on its way into (N-26, N-27)."""
        for joining in connection.state.take_joining():
            self._abandon(joining)
        for channel in self._hub.channels_of(connection):
            self._hub.leave(connection, channel)
            self._left(connection, channel)

    def renew_topics(self, connection: Connection) -> None:
        """Ask the adapter again: the application now wants totals for channels subscribed before."""
        names = [channel.name for channel in self._hub.channels_of(connection)]
        for name in (*names, *connection.state.joining()):
            self._adapter.subscribe(connection.app.id, name, _nobody_waits)

    def is_in(self, connection: Connection, name: str) -> bool:
        """Whether the subscription is live."""
        return self._hub.subscribed(connection, self._hub.channel(connection.app.id, name))

    # --- the way in

    def join(
        self,
        connection: Connection,
        name: str,
        member: Member | None,
        on_live: Callable[[Joining, Answer], None],
    ) -> None:
        """Take a connection into a channel without asking anything; `on_live` acknowledges.

        Redis is asked for the channel's messages first, and the subscription is reported second, so that a roster is
        followed by every change after it.
        """
        channel = self._hub.open(connection.app.id, name)
        joining = Joining(Pending(channel, connection), member, on_live)
        connection.state.remember_joining(name, joining)
        self._adapter.subscribe(connection.app.id, name, functools.partial(self._on_subscribed, joining))

    def _on_subscribed(self, joining: Joining, live: bool) -> None:
        if joining.pending.cancelled or joining.done is not None:
            return
        if not live:
            self.refuse(joining, "The server cannot subscribe to this channel.", "ServerError", 500)
            return
        channel = joining.pending.channel
        joining.done = functools.partial(self._on_answer, joining)
        self._reporter.add(channel.app_id, channel.name, joining.member, joining.done)

    def _on_answer(self, joining: Joining, answer: Answer, refused: bool) -> None:
        if joining.pending.cancelled:
            return
        if refused:
            text = "The maximum members per presence channel limit was reached"
            self.refuse(joining, text, "LimitReached", CloseCode.OVER_CAPACITY)
            return
        joining.on_live(joining, answer)

    def refuse(self, joining: Joining, text: str, kind: str, status: int) -> None:
        """The way in ends here; the client is told."""
        connection, name = joining.pending.connection, joining.pending.channel.name
        connection.state.pop_joining(name)
        self._abandon(joining)
        error = SubscriptionError(name, text, kind=kind, status=status)
        connection.send(text_frame(messages.subscription_error(error)))

    def _on_counted(self, joining: Joining, answer: Answer) -> None:
        self._go_live(joining, answer, [], None, NOTHING_REPLAYED)

    def _on_counted_cache(self, joining: Joining, answer: Answer) -> None:
        self._read(joining, self._read_cache(joining, answer, NOTHING_REPLAYED))

    def _on_counted_replay(self, asked: ResolvedReplay, joining: Joining, answer: Answer) -> None:
        self._read(joining, self._read_history(joining, answer, asked))

    def _read(self, joining: Joining, reading: Coroutine[Any, Any, None]) -> None:
        task = serve(reading, "subscription-read", joining.pending.connection.abort)
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read_history(self, joining: Joining, answer: Answer, asked: ResolvedReplay) -> None:
        """What is kept comes after the acknowledgement and before anything live (N-41)."""
        channel = joining.pending.channel
        given = await self._replays.read(channel.app_id, channel.name, asked)
        if joining.pending.cancelled:
            return
        if channel_kind(channel.name).is_cache:
            await self._read_cache(joining, answer, given)
        else:
            self._go_live(joining, answer, given.frames, None, given)

    async def _read_cache(self, joining: Joining, answer: Answer, given: ReplayedFrames) -> None:
        """Cache channels: the last event, or the miss, comes right after the acknowledgement (N-13, N-30); the event
        only where it is not among what is replayed."""
        channel = joining.pending.channel
        try:
            found = await self._cache.get(channel.app_id, channel.name)
        except StoreUnavailable:
            found = None
        if joining.pending.cancelled:
            return
        app = joining.pending.connection.app
        if found is not None:
            self._metrics.cache_hits.add(1, app.id)
            frame = text_frame(messages.channel_event(found[0], channel.name, found[1]))
            if frame in given.frames:
                self._go_live(joining, answer, given.frames, None, given)
            else:
                self._go_live(joining, answer, [frame, *given.frames], frame, given)
            return
        self._go_live(joining, answer, [text_frame(messages.cache_miss(channel.name)), *given.frames], None, given)
        self._metrics.cache_misses.add(1, app.id)
        self._emitter.cache_miss(app, channel.name)

    def _go_live(
        self, joining: Joining, answer: Answer, frames: Sequence[bytes], cached: bytes | None, given: ReplayedFrames
    ) -> None:
        connection, channel = joining.pending.connection, joining.pending.channel
        since, provisional = answer.version, False
        if joining.member is None:
            succeeded = messages.subscription_succeeded(channel.name)
        else:
            members, provisional = self._rosters.joined(
                connection, channel, joining.member.user_id, answer.roster or {}, answer.version
            )
            succeeded = messages.presence_succeeded(channel.name, members)
            if provisional:
                # This roster is what the worker knows, and frames held meanwhile are part of that: sent again, a
                # departure would come after the return that followed it.
                since = NEWEST
        self.go_live(joining, since, [text_frame(succeeded), *frames], cached, provisional, given.mark)
        kind = channel_kind(channel.name).label
        self._metrics.subscribed.add(1, channel.app_id, kind)
        _log.debug("app %s: socket %s is in %s", channel.app_id, connection.socket_id, channel.name)
        if self._tap.active:
            self._note("subscribed", connection, channel, joining.member)
        if channel.count == 1:
            self._metrics.active.add(1, channel.app_id, kind)
        self.end_if_overflowed(joining)

    def go_live(
        self,
        joining: Joining,
        version: int,
        frames: list[bytes],
        cached: bytes | None = None,
        provisional: bool = False,
        replayed: tuple[int, int] | None = None,
    ) -> None:
        """The acknowledgement, what belongs to it, what was held meanwhile; then the connection is subscribed.

        `end_if_overflowed` is the caller's to call when all is done.
        """
        pending = joining.pending
        connection = pending.connection
        connection.state.pop_joining(pending.channel.name)
        joining.end()
        if joining.member is not None:
            connection.state.remember_member(pending.channel.name, joining.member)
        pending.activate(version, frames, cached, provisional, replayed)

    @staticmethod
    def end_if_overflowed(joining: Joining) -> None:
        """Not all that was published meanwhile could be held: to be called last, since the connection leaves all."""
        if joining.pending.overflowed:
            joining.pending.connection.close(CloseCode.RECONNECT, "Subscribing took too long on a busy channel")

    # --- the ways out

    def _abandon(self, joining: Joining) -> None:
        """Break off a way in that `joining` no longer is on the list of."""
        channel = joining.pending.channel
        joining.pending.cancel()
        joining.pending.connection.state.full_at = 0
        if joining.done is not None:
            self._reporter.remove(channel.app_id, channel.name, joining.member, joining.done)
        joining.end()
        self._close_if_empty(channel)

    def _left(self, connection: Connection, channel: Channel) -> None:
        connection.state.full_at = 0
        member = connection.state.pop_member(channel.name)
        self._reporter.remove(channel.app_id, channel.name, member)
        self._close_if_empty(channel)
        if is_server_owned(channel.name):
            return  # entered without being asked for, and not counted then either
        kind = channel_kind(channel.name).label
        self._metrics.unsubscribed.add(1, channel.app_id, kind)
        _log.debug("app %s: socket %s has left %s", channel.app_id, connection.socket_id, channel.name)
        if self._tap.active:
            self._note("unsubscribed", connection, channel, member)
        if not channel.count:
            self._metrics.active.add(-1, channel.app_id, kind)

    def _note(self, kind: str, connection: Connection, channel: Channel, member: Member | None) -> None:
        user = {} if member is None else {"user_id": member.user_id}
        self._tap.note(kind, channel.app_id, channel=channel.name, socket_id=connection.socket_id, **user)

    def _close_if_empty(self, channel: Channel) -> None:
        if self._hub.close_if_empty(channel):
            self._rosters.forget(channel)
            self._counts.forget(channel)
            self._adapter.unsubscribe(channel.app_id, channel.name)

    # --- presence and users

    @staticmethod
    def _member(connection: Connection, request: SubscribeRequest, signed: auth.Members | None) -> Member:
        app = connection.app
        user = connection.state.user
        if request.channel_data is None and user is not None:
            user_id, user_info = user.id, user.user_info
            data = messages.channel_data(user_id, user_info)
        else:
            data = spelled(request.channel_data or "").decode()
            user_id, user_info = auth.parse_channel_data(app, request.channel, signed)
        now_us = time.time_ns() // 1000
        return Member(user_id, user_info, connection.socket_id, data, app.max_presence_members, now_us)

    def _subscribe_to_user(self, connection: Connection, name: str, user_id: str) -> None:
        """Client libraries subscribe to their own user channel after signing in (U-9); they are in it already."""
        user = connection.state.user
        if user is None or user.id != user_id:
            raise SubscriptionError(name, "The connection is unauthorized.")
        connection.send(text_frame(messages.subscription_succeeded(name)))


def _nobody_waits(_: bool) -> None:
    """For what is subscribed to without anybody being acknowledged."""
