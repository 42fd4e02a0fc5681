"""What is told of publishes, deliveries and clients while somebody follows them (`tracing.py`).

Told are names, numbers and reasons. Never what is in an event, a secret, a signature or what signs in.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from engine._fast.connection import Connection
from engine._fast.envelope import read_event
from engine._fast.frame import payload_of
from engine._fast.hub import Channel, Hub
from engine.app import App
from engine.app_manager import AppManager
from engine.errors import PusherError, StoreUnavailable, SubscriptionError
from engine.http.fast_path import FastPath
from engine.http.health import Health
from engine.http.request import ApiResponse, app_of, path_of
from engine.http.routes import Api
from engine.interfaces import Adapter, IdempotencyStore, Message, OccupancyStore
from engine.protocol.channel import channel_kind
from engine.protocol.messages import CLIENT_PREFIX, SubscribeRequest
from engine.publisher import Publication, Publisher
from engine.trace.follow import Fact, Follow
from engine.webhooks.batcher import Batcher
from engine.webhooks.delivery.attempts import Attempts
from engine.worker.tracing import Taps, Tracing, harmless
from engine.ws.handlers import Handlers
from engine.ws.refusal import Refusal
from engine.ws.state import Joining
from engine.ws.subscriptions import Subscriptions

#: Sockets and channels that one line names.
NAMED = 5
#: Of a request that was refused.
MAX_PATH, MAX_REASON = 200, 200
PUBLISHES = ("/events", "/batch_events")

#: What a line says, and the channels that it is about.
_Described = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Followed:
    """The parts of a worker in front of which taps stand, or which are asked."""

    hub: Hub
    apps: AppManager
    health: Health
    adapter: Adapter
    store: OccupancyStore
    publishes: FastPath | None
    api: Api
    answers: IdempotencyStore
    publisher: Publisher
    handlers: Handlers
    subscriptions: Subscriptions
    refusal: Refusal
    batcher: Batcher
    attempts: Attempts


def place(parts: Followed, taps: Taps, tracing: Tracing) -> None:
    """Put all of this in the way; `taps.remove` takes it away."""
    _Publishes(parts, tracing).place(taps)
    _Clients(parts, tracing).place(taps)


class _Publishes:
    """From a request to the sockets of this worker."""

    def __init__(self, parts: Followed, tracing: Tracing) -> None:
        self._parts = parts
        self._tracing = tracing

    def place(self, taps: Taps) -> None:
        parts = self._parts
        if (publishes := parts.publishes) is not None:
            # What C publishes by itself nobody can follow.
            publishes.watch(True, "trace")
            taps.on_removal(lambda: publishes.watch(False, "trace"))
        plain, parts.handlers.plain = parts.handlers.plain, None
        taps.on_removal(lambda: setattr(parts.handlers, "plain", plain))
        parts.adapter.overhear(self._delivered)
        taps.on_removal(lambda: parts.adapter.overhear(None))
        taps.place(parts.api, "handle", self._handle)
        taps.place(parts.api, "refuse", self._refuse)
        taps.place(parts.answers, "claim", self._claim)
        taps.place(parts.publisher, "publish", self._publish)
        taps.place(parts.publisher, "client_event", self._client_event)
        taps.place(parts.adapter, "publish", self._send)

    # --- taps

    def _handle(self, handle: Callable[..., Awaitable[ApiResponse]]) -> Callable[..., Awaitable[ApiResponse]]:
        async def tap(method: str, target: bytes, *rest: Any) -> ApiResponse:
            answer = await handle(method, target, *rest)
            self._note_refused(method, target, answer)
            return answer

        return tap

    def _refuse(self, refuse: Callable[..., ApiResponse | None]) -> Callable[..., ApiResponse | None]:
        def tap(method: str, target: bytes, body_bytes: int) -> ApiResponse | None:
            answer = refuse(method, target, body_bytes)
            if answer is not None:
                self._note_refused(method, target, answer)
            return answer

        return tap

    def _claim(self, claim: Callable[..., Awaitable[bytes | None]]) -> Callable[..., Awaitable[bytes | None]]:
        async def tap(app_id: str, *rest: Any) -> bytes | None:
            found = await claim(app_id, *rest)
            if found is not None:
                text = f"app {app_id}: its idempotency key was used before, so it is answered as then and not published"
                self._tracing.note("dropped", text, Fact(app_id, unknown=True))
            return found

        return tap

    def _publish(self, publish: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def tap(app: App, publications: Sequence[Publication]) -> None:
            self._note_received(app, publications)
            await publish(app, publications)
            self._note_published(app, publications)

        return tap

    def _client_event(self, client_event: Callable[..., None]) -> Callable[..., None]:
        def tap(app: App, channel: str, event: str, data: bytes, user_id: str | None, socket_id: str) -> None:
            self._note_client_event(app, channel, event, user_id, socket_id)
            client_event(app, channel, event, data, user_id, socket_id)

        return tap

    def _send(self, publish: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def tap(messages: Sequence[Message]) -> None:
            try:
                await publish(messages)
            except StoreUnavailable as error:
                self._note_sent(messages, error)
                raise
            self._note_sent(messages, None)

        return tap

    # --- what they tell

    @harmless
    def _note_received(self, app: App, publications: Sequence[Publication]) -> None:
        for each in publications:
            fact = Fact(app.id, each.channels, (each.except_socket_id,), event=each.event)
            but = f", but not to socket {each.except_socket_id}, as it asks" if each.except_socket_id else ""
            self._tracing.note("received", f"app {app.id}: {each.event} to {some(each.channels)}{but}", fact)

    @harmless
    def _note_published(self, app: App, publications: Sequence[Publication]) -> None:
        for each in publications:
            for channel in each.channels:
                fact = Fact(app.id, (channel,), event=each.event)
                if channel_kind(channel).is_cache:
                    text = f"app {app.id}: {each.event} is the last event of {channel} now"
                    self._tracing.note("cached", text, fact)
                if self._tracing.wanted(fact):
                    self._tracing.ask(functools.partial(self._count, fact))

    @harmless
    def _note_client_event(self, app: App, channel: str, event: str, user_id: str | None, socket_id: str) -> None:
        text = f"app {app.id}: client event {event} to {channel} from socket {socket_id}, which does not get it"
        users = (user_id,) if user_id else ()
        self._tracing.note("received", text, Fact(app.id, (channel,), (socket_id,), users, event))

    @harmless
    def _note_sent(self, messages: Sequence[Message], error: StoreUnavailable | None) -> None:
        alone = "" if self._parts.adapter.connected else "; other workers cannot be reached now and get nothing"
        for message in messages:
            fact = Fact(message.app_id, (message.channel,), event=_event(message.frame))
            about = f"app {message.app_id}: {fact.event} of {message.channel}"
            if error is None:
                self._tracing.note("sent", f"{about} to all workers that have subscribers{alone}", fact)
            else:
                self._tracing.note("dropped", f"{about} was sent to nobody: {error}", fact)

    @harmless
    def _note_refused(self, method: str, target: bytes, answer: ApiResponse) -> None:
        """A publish that came to nothing, or what may have been meant as one; what it was about is not known."""
        path = path_of(target)
        # "/app" is in the path of whatever is meant for the API, spelled right or not.
        if answer.status < 400 or not (path.endswith(PUBLISHES) or (method == "POST" and "/app" in path)):
            return
        try:
            reason = str(orjson.loads(answer.body)["error"]).partition(":")[0][:MAX_REASON]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            reason = ""
        text = f"{method} {path[:MAX_PATH]}: {int(answer.status)} {reason} (its channel is not known)"
        self._tracing.note("refused", text, Fact(app_of(path), unknown=True))

    async def _count(self, fact: Fact) -> None:
        """Of the whole cluster: to say that there is nobody is to say why nobody got it."""
        (channel,) = fact.channels
        try:
            ((subscriptions, _),) = await self._parts.store.counts(fact.app, [channel])
        except StoreUnavailable:
            return
        if not subscriptions:
            text = f"app {fact.app}: no worker counts a subscription to {channel}, so nobody gets {fact.event}"
            self._tracing.note("dropped", text, fact)

    @harmless
    def _delivered(self, channel: Channel, envelope: bytes) -> None:
        read = read_event(envelope)
        if read is None or not self._cares(channel):
            return
        excluded, frame = read
        connections = channel.connections()
        sockets = tuple(connection.socket_id for connection in connections)
        event = _event(frame)
        fact = Fact(channel.app_id, (channel.name,), sockets, tuple(users_of(channel.name, connections)), event)
        given = [socket_id for socket_id in sockets if socket_id != excluded]
        text = f"app {channel.app_id}: {event} of {channel.name} to {count_of(len(given), 'socket')} of this worker"
        self._tracing.note("written", f"{text}{': ' if given else ''}{some(given) if given else ''}", fact)
        if excluded in sockets:
            why = "which sent it" if event.startswith(CLIENT_PREFIX) else "as its sender asks"
            text = f"app {channel.app_id}: {event} of {channel.name} not to socket {excluded}, {why}"
            self._tracing.note("dropped", text, fact)
        if waiting := len(channel) - len(connections):
            text = (
                f"app {channel.app_id}: {event} of {channel.name} is held for {count_of(waiting, 'subscription')} that"
                " is not acknowledged yet"
            )
            self._tracing.note("held", text, fact)
        for follow in self._tracing.follows:
            if follow.socket and follow.channel == channel.name and follow.socket not in sockets:
                self._note_absent(follow, channel, event)

    def _cares(self, channel: Channel) -> bool:
        """Whether anybody may: a channel may have very many subscribers."""
        for follow in self._tracing.follows:
            if follow.app and follow.app != channel.app_id:
                continue
            if follow.channel == channel.name or follow.event or follow.user or follow.follows_all:
                return True
            connection = self._parts.hub.get(follow.socket)
            if connection is not None and self._parts.hub.subscribed(connection, channel):
                return True
        return False

    def _note_absent(self, follow: Follow, channel: Channel, event: str) -> None:
        connection = self._parts.hub.get(follow.socket)
        if connection is None:
            return  # another worker may have it
        why = "waits for its acknowledgement" if connection.state.is_joining(channel.name) else "is not in that channel"
        text = f"app {channel.app_id}: {event} of {channel.name} not to socket {follow.socket}, which {why}"
        self._tracing.note("dropped", text, Fact(channel.app_id, (channel.name,), (follow.socket,), event=event))


class _Clients:
    """From a connection to its subscriptions, and to its end."""

    def __init__(self, parts: Followed, tracing: Tracing) -> None:
        self._parts = parts
        self._tracing = tracing
        #: A refusal that is on its way to a client and names no channel, and the one that it is about.
        self._refusing: tuple[PusherError, str] | None = None

    def place(self, taps: Taps) -> None:
        parts = self._parts
        taps.place(parts.handlers, "opened", self._opened)
        taps.place(parts.handlers, "leaving", self._leaving)
        taps.place(parts.refusal, "send", self._refused)
        taps.place(parts.subscriptions, "subscribe", self._subscribe)
        taps.place(parts.subscriptions, "unsubscribe", self._unsubscribe)
        taps.place(parts.subscriptions, "go_live", self._go_live)
        taps.place(parts.subscriptions, "refuse", self._refused_later)

    def _opened(self, opened: Callable[[Connection], None]) -> Callable[[Connection], None]:
        def describe(connection: Connection) -> _Described:
            address = connection.state.address
            return f"connects{f' from {address}' if address else ''}", ()

        def tap(connection: Connection) -> None:
            self._note("connects", connection, describe)
            opened(connection)

        return tap

    def _leaving(self, leaving: Callable[[Connection], None]) -> Callable[[Connection], None]:
        def describe(connection: Connection) -> _Described:
            channels = tuple(channel.name for channel in self._parts.hub.channels_of(connection))
            reason = f" {connection.close_reason}" if connection.close_reason else ""
            was_in = some(channels) if channels else "no channel"
            return f"ends: {connection.close_code}{reason}; it was in {was_in}", channels

        def tap(connection: Connection) -> None:
            self._note("ends", connection, describe)
            leaving(connection)

        return tap

    def _refused(self, send: Callable[[Connection, PusherError], None]) -> Callable[[Connection, PusherError], None]:
        def describe(_: Connection, error: PusherError) -> _Described:
            code = error.status if isinstance(error, SubscriptionError) else error.code
            refusing, self._refusing = self._refusing, None
            channel = refusing[1] if refusing is not None and refusing[0] is error else error.channel
            about = f" about {channel}" if channel else ""
            number = f" ({int(code)})" if code else ""
            remedy = f" {error.instance + error.remedy}" if error.remedy else ""
            text = f"is told{about}: {error.in_short}{number}{remedy}"
            return text, (channel,) if channel else ()

        def tap(connection: Connection, error: PusherError) -> None:
            self._note("refused", connection, describe, error)
            send(connection, error)

        return tap

    def _subscribe(
        self, subscribe: Callable[[Connection, SubscribeRequest], None]
    ) -> Callable[[Connection, SubscribeRequest], None]:
        def tap(connection: Connection, request: SubscribeRequest) -> None:
            self._note("asked", connection, _about_channel, "asks for {}", request.channel)
            try:
                subscribe(connection, request)
            except PusherError as error:
                self._refusing = (error, request.channel)
                raise

        return tap

    def _unsubscribe(self, unsubscribe: Callable[[Connection, str], None]) -> Callable[[Connection, str], None]:
        def tap(connection: Connection, name: str) -> None:
            self._note("left", connection, _about_channel, "asks to leave {}", name)
            unsubscribe(connection, name)

        return tap

    def _go_live(self, go_live: Callable[..., None]) -> Callable[..., None]:
        def tap(joining: Joining, *rest: Any, **more: Any) -> None:
            pending = joining.pending
            go_live(joining, *rest, **more)
            words = "is in {} and gets what is published from now on"
            self._note("subscribed", pending.connection, _about_channel, words, pending.channel.name)

        return tap

    def _refused_later(self, refuse: Callable[..., None]) -> Callable[..., None]:
        def tap(joining: Joining, text: str, kind: str, status: int) -> None:
            pending = joining.pending
            words = f"is told about {{}}: {text} ({int(status)})"
            self._note("refused", pending.connection, _about_channel, words, pending.channel.name)
            refuse(joining, text, kind, status)

        return tap

    @harmless
    def _note(self, stage: str, connection: Connection, describe: Callable[..., _Described], *about: Any) -> None:
        text, channels = describe(connection, *about)
        app_id = connection.traffic.app_id
        names = [*channels, *(channel.name for channel in self._parts.hub.channels_of(connection))]
        users = {user for name in names for user in users_of(name, [connection])}
        fact = Fact(app_id, channels, (connection.socket_id,), tuple(users), unknown=not app_id)
        self._tracing.note(stage, f"app {app_id or '(unknown)'}: socket {connection.socket_id} {text}", fact)


def _about_channel(_: Connection, words: str, channel: str) -> _Described:
    return words.format(channel), (channel,)


def users_of(channel: str, connections: Sequence[Connection]) -> set[str]:
    """Who they are in the channel, and as whom they have signed in."""
    found: set[str] = set()
    for connection in connections:
        member, user = connection.state.member(channel), connection.state.user
        found |= {each for each in (member and member.user_id, user and user.id) if each}
    return found


def some(names: Sequence[str]) -> str:
    """The first of them, and how many more."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def count_of(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _event(frame: bytes) -> str:
    """The name of the event in a finished frame."""
    try:
        return str(orjson.loads(payload_of(frame))["event"])
    except (ValueError, KeyError, TypeError):
        return "an event"
