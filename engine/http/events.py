"""POST events and batch_events: from a body to publications, and the attributes that were asked for (H-11 to H-22)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson

from engine.app import App
from engine.errors import ApiError, StoreUnavailable
from engine.http.auth import Access
from engine.http.idempotency import Once
from engine.http.request import Answer, Call, invalid, ok
from engine.interfaces import OccupancyStore
from engine.protocol.channel import channel_kind
from engine.publisher import Publication, Publisher

#: Attributes of a channel (H-17), also used by channels.py.
USER_COUNT = "user_count"
SUBSCRIPTION_COUNT = "subscription_count"

_NOTHING_TO_SAY = b"{}"


class Events:
    """Publishes for back ends."""

    def __init__(self, access: Access, publisher: Publisher, occupancy: OccupancyStore, once: Once) -> None:
        self._access = access
        self._publisher = publisher
        self._occupancy = occupancy
        self._once = once

    def publish(self, call: Call, app_id: str) -> Awaitable[Answer]:
        """POST /apps/{id}/events."""
        return self._answer(call, app_id, self._publish)

    def batch(self, call: Call, app_id: str) -> Awaitable[Answer]:
        """POST /apps/{id}/batch_events: all or nothing (D-16)."""
        return self._answer(call, app_id, self._publish_batch)

    async def _answer(
        self, call: Call, app_id: str, publish: Callable[[App, dict[str, Any]], Awaitable[Answer]]
    ) -> Answer:
        app = self._access.app(call, app_id)
        body = _object(_json(call.body), "The body")
        key = self._once.key(call, body)
        if key:
            return await self._once.answer(app, key, partial(publish, app, body))
        return await publish(app, body)

    async def _publish(self, app: App, body: dict[str, Any]) -> Answer:
        publication = _publication(body, _channels(body))
        info = attributes(body.get("info"))
        headers = await self._access.count_events(app, len(publication.channels))
        await self._publisher.publish(app, (publication,))
        if not info:
            return Answer(200, _NOTHING_TO_SAY, headers)
        channels = tuple(dict.fromkeys(publication.channels))
        found = await self._attributes(app, channels, [info] * len(channels))
        return ok({"channels": dict(zip(channels, found, strict=True))}, headers)

    async def _publish_batch(self, app: App, body: dict[str, Any]) -> Answer:
        items = body.get("batch")
        if not isinstance(items, list) or not items:
            raise invalid("batch must be an array of events")
        if len(items) > app.max_event_batch_size:
            message = f"Cannot batch-send more than {app.max_event_batch_size} messages at once"
            raise ApiError(HTTPStatus.BAD_REQUEST, "limit_exceeded", message)
        events = [_object(item, "Every event of the batch") for item in items]
        publications = [_publication(event, _channel(event)) for event in events]
        infos = [attributes(event.get("info")) for event in events]
        headers = await self._access.count_events(app, len(publications))
        await self._publisher.publish(app, publications)
        if not any(infos):
            return Answer(200, _NOTHING_TO_SAY, headers)
        found = await self._attributes(app, [publication.channels[0] for publication in publications], infos)
        return ok({"batch": found}, headers)

    async def _attributes(
        self, app: App, channels: Sequence[str], infos: Sequence[frozenset[str]]
    ) -> list[dict[str, int]]:
        """What was asked of each channel; what does not apply is left out (H-14, H-18, H-21)."""
        try:
            counts = await self._occupancy.counts(app.id, channels)
        except StoreUnavailable:
            # The events are out: an error here would only make the caller send them again.
            return [{} for _ in channels]
        found = []
        for channel, info, (subscriptions, members) in zip(channels, infos, counts, strict=True):
            figures: dict[str, int] = {}
            if USER_COUNT in info and channel_kind(channel).is_presence:
                figures[USER_COUNT] = members
            if SUBSCRIPTION_COUNT in info:
                figures[SUBSCRIPTION_COUNT] = subscriptions
            found.append(figures)
        return found


def attributes(info: object) -> frozenset[str]:
    """The names in an `info` parameter: comma-separated, or an array of them. Unknown ones are let pass."""
    if info is None:
        return frozenset()
    names = info.split(",") if isinstance(info, str) else info
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise invalid("info must be a text of comma-separated attributes")
    return frozenset(name.strip() for name in names) - {""}


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as problem:
        raise invalid(f"The body is not valid JSON: {problem}") from problem


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid(f"{what} must be a JSON object")
    return value


def _publication(event: dict[str, Any], channels: tuple[str, ...]) -> Publication:
    name, socket_id = event.get("name"), event.get("socket_id")
    if not isinstance(name, str):
        raise invalid("name is required and must be a text")
    if "data" not in event:
        raise invalid("data is required")
    if socket_id is None:
        return Publication(name, _data(event["data"]), channels)
    if not isinstance(socket_id, str) or not socket_id:
        raise invalid("The socket_id is not valid")
    return Publication(name, _data(event["data"]), channels, socket_id)


def _data(data: Any) -> str:
    """Libraries send text, which is passed on untouched; any other value becomes its JSON text (H-11)."""
    if isinstance(data, str):
        return data
    try:
        return orjson.dumps(data).decode()
    except TypeError as problem:
        raise invalid("data is nested too deeply") from problem


def _channels(event: dict[str, Any]) -> tuple[str, ...]:
    """`channels`, or `channel` where only that is given."""
    channels = event.get("channels")
    if channels is None:
        return _channel(event)
    if not isinstance(channels, list) or not all(isinstance(channel, str) for channel in channels):
        raise invalid("channels must be an array of names")
    return tuple(channels)


def _channel(event: dict[str, Any]) -> tuple[str, ...]:
    channel = event.get("channel")
    if channel is None:
        raise ApiError(HTTPStatus.BAD_REQUEST, "missing_channel_info", "The event names no channel")
    if not isinstance(channel, str):
        raise invalid("channel must be a name")
    return (channel,)
