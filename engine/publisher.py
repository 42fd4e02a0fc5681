"""Publishes events: to channels and users over the HTTP API, and client events between subscribers.

Checks the app's limits, builds one finished frame for each channel and hands it to the adapter. This is the publish
path: nothing here costs more with more subscribers.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

from engine._fast.frame import spliced_frame, text_frame
from engine.app import App
from engine.errors import ApiError, StoreUnavailable
from engine.interfaces import Adapter, CacheStore, Message
from engine.metrics.metrics import Metrics
from engine.protocol import messages
from engine.protocol.channel import RESERVED_PREFIXES, SOCKET_ID, channel_kind, user_of, valid_channel_name
from engine.protocol.json_values import dumps
from engine.tap.tap import NOBODY, Tap

_log = logging.getLogger(__name__)


class Publication(NamedTuple):
    """One event for one or more channels.

    :param data: the event's data, passed on untouched (H-11).
    :param except_socket_id: the connection that gets nothing of it (H-15), or "".
    :param spelling: event and data as the JSON strings that the back end sent, which are handed on byte for byte; None
        to spell them out.
    """

    event: str
    data: str
    channels: tuple[str, ...]
    except_socket_id: str = ""
    spelling: tuple[bytes, bytes] | None = None


class Publisher:
    """Sends publications of all apps."""

    def __init__(self, adapter: Adapter, cache: CacheStore, metrics: Metrics, tap: Tap = NOBODY) -> None:
        self._tap = tap
        self._adapter = adapter
        self._cache = cache
        self._metrics = metrics.events
        self._cache_works = True

    async def publish(self, app: App, publications: Sequence[Publication]) -> None:
        """Check all, then send all, in order; returns when every live worker will get them (D-16).

        Raises ApiError with nothing sent when one of them breaks a limit (H-40 to H-45), and StoreUnavailable when
        the workers cannot be reached, or when what is to be kept cannot be.
        """
        self.check(app, publications)
        out: list[Message] = []
        cached: dict[str, Publication] = {}
        debug = _log.isEnabledFor(logging.DEBUG)
        for publication in publications:
            event, data = publication.event, publication.data
            if debug:
                _log.debug("app %s: %s is published to %s", app.id, event, publication.channels)
            parts = messages.spelled_event_parts(*publication.spelling or map(dumps, (event, data)))
            # A channel named twice gets the event once (H-16).
            for channel in dict.fromkeys(publication.channels):
                prefix, suffix = parts
                if channel_kind(channel).is_cache:
                    cached[channel] = publication
                    # As it will be spelled when it comes out of the cache: a subscriber gets it once, not twice.
                    prefix, suffix = messages.channel_event_parts(event, data)
                frame = spliced_frame(prefix, dumps(channel), suffix)
                message = Message(app.id, channel, frame, publication.except_socket_id)
                if app.history and (rule := app.history_rule(channel)) is not None:
                    message = message._replace(retention=rule.retention)
                out.append(message)
        if cached:
            await self._remember(app, cached)
        await self._adapter.publish(out)
        self._metrics.published.add(len(out), app.id)
        if self._tap.active:
            for publication in publications:
                self._note("published", app, publication)

    def check(self, app: App, publications: Sequence[Publication]) -> None:
        """Raise ApiError when one of them breaks a limit (H-40 to H-45)."""
        for publication in publications:
            _check(app, publication)

    def client_event(
        self, app: App, channel: str, event: str, data_json: bytes, user_id: str | None, except_socket_id: str
    ) -> None:
        """Send a client's event, checked by the caller, to the channel's other subscribers; never cached (E-3).

        :param user_id: the sender's, on presence channels only (E-9).
        """
        _log.debug("app %s: socket %s sends %s to %s", app.id, except_socket_id, event, channel)
        frame = text_frame(messages.client_event(event, channel, data_json, user_id))
        rule = app.history_rule(channel)
        retention = rule.retention if rule is not None and rule.client_events else None
        self._adapter.send(Message(app.id, channel, frame, except_socket_id, retention))
        self._metrics.by_clients.add(1, app.id)
        if self._tap.active:
            data = data_json.decode("utf-8", "replace")
            self._note("client event", app, Publication(event, data, (channel,), except_socket_id))

    def _note(self, kind: str, app: App, publication: Publication) -> None:
        """One line for each event, whatever the number of its channels."""
        channel, *others = dict.fromkeys(publication.channels)
        more = {"more_channels": len(others)} if others else {}
        who = {"socket_id": publication.except_socket_id} if publication.except_socket_id else {}
        self._tap.note(kind, app.id, channel=channel, event=publication.event, data=publication.data, **more, **who)

    async def _remember(self, app: App, cached: dict[str, Publication]) -> None:
        """Keep the last event of each cache channel (N-28). A cache that is gone stops no event."""
        try:
            for channel, publication in cached.items():
                await self._cache.put(app.id, channel, publication.event, publication.data, app.cache_ttl_s)
        except StoreUnavailable as error:
            if self._cache_works:
                _log.warning("the last events of cache channels are not kept: %s", error)
            self._cache_works = False
        else:
            self._cache_works = True


def _check(app: App, publication: Publication) -> None:
    """Raise ApiError when the app may not publish this."""
    event, channels = publication.event, publication.channels
    if not event:
        raise _invalid("The event's name is empty")
    if len(event) > app.max_event_name_length:
        raise _too_much(f"Event name is too long. Maximum allowed size is {app.max_event_name_length}.")
    if event.startswith(RESERVED_PREFIXES):
        raise _invalid(f"Event names that begin with {' or '.join(RESERVED_PREFIXES)} are reserved")
    if not channels:
        raise ApiError(HTTPStatus.BAD_REQUEST, "missing_channel_info", "The event names no channel")
    if len(channels) > app.max_event_channels:
        raise _too_much(f"Cannot broadcast to more than {app.max_event_channels} channels at once")
    for channel in channels:
        if not valid_channel_name(channel, app.max_channel_name_length) and user_of(channel) is None:
            raise _invalid(f"Invalid channel name: {channel[: app.max_channel_name_length]}")
    if publication.except_socket_id and SOCKET_ID.match(publication.except_socket_id) is None:
        raise _invalid("The socket_id is not valid")
    limit = app.max_event_bytes
    # Text takes at most four bytes a character, so most events need no counting.
    if len(publication.data) * 4 > limit and len(publication.data.encode("utf-8", "surrogatepass")) > limit:
        raise ApiError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "payload_too_large",
            f"The data content of this event exceeds the allowed maximum ({limit} bytes).",
        )


def _invalid(message: str) -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, "invalid_input", message)


def _too_much(message: str) -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, "limit_exceeded", message)
