"""POST events and batch_events: from a body to publications, and the attributes that were asked for (H-11 to H-22).

Every event goes to the publisher; nothing here knows a connection.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson

from engine._fast import json_text
from engine.app import App
from engine.errors import ApiError, StoreUnavailable
from engine.http.auth import Access
from engine.http.idempotency import Idempotency
from engine.http.request import ApiRequest, ApiResponse, Headers, invalid, ok
from engine.interfaces import OccupancyStore
from engine.protocol.channel import channel_kind
from engine.protocol.json_values import dumps, loads
from engine.publisher import Publication, Publisher

#: Attributes of a channel (H-17), also used by channels.py.
USER_COUNT = "user_count"
SUBSCRIPTION_COUNT = "subscription_count"

_NOTHING_TO_SAY = b"{}"
_NO_ATTRIBUTES: frozenset[str] = frozenset()

#: An escape of half a character.
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")

#: A JSON object's members, each value as its text lies in the request.
Members = dict[str, bytes]


class Events:
    """Publishes for back ends."""

    def __init__(
        self, access: Access, publisher: Publisher, occupancy: OccupancyStore, idempotency: Idempotency
    ) -> None:
        self._access = access
        self._publisher = publisher
        self._occupancy = occupancy
        self._idempotency = idempotency

    def publish(self, request: ApiRequest, app_id: str) -> Awaitable[ApiResponse]:
        """POST /apps/{id}/events."""
        return self._answer(request, app_id, self._publish)

    def batch(self, request: ApiRequest, app_id: str) -> Awaitable[ApiResponse]:
        """POST /apps/{id}/batch_events: all or nothing (D-16)."""
        return self._answer(request, app_id, self._publish_batch)

    async def _answer(
        self, request: ApiRequest, app_id: str, publish: Callable[[App, Members], Awaitable[ApiResponse]]
    ) -> ApiResponse:
        app = self._access.app(request, app_id)
        body = _object(request.body, "The body")
        key = self._idempotency.key(request.idempotency_key, *_keys(body))
        if key:
            return await self._idempotency.answer(app, key, partial(publish, app, body))
        return await publish(app, body)

    async def _publish(self, app: App, body: Members) -> ApiResponse:
        publication = _publication(body, _channels(body))
        info = attributes(_value(body["info"])) if "info" in body else _NO_ATTRIBUTES
        headers = await self._access.count_events(app, len(publication.channels))
        await self._publisher.publish(app, (publication,))
        if not info:
            return ApiResponse(200, _NOTHING_TO_SAY, headers)
        channels = tuple(dict.fromkeys(publication.channels))
        found = await self._attributes(app, channels, [info] * len(channels))
        return ok({"channels": dict(zip(channels, found, strict=True))}, headers)

    async def _publish_batch(self, app: App, body: Members) -> ApiResponse:
        items = json_text.items(body.get("batch", b"null"))
        if not items:
            raise invalid("batch must be an array of events")
        if len(items) > app.max_event_batch_size:
            message = f"Cannot batch-send more than {app.max_event_batch_size} messages at once"
            raise ApiError(HTTPStatus.BAD_REQUEST, "limit_exceeded", message)
        events = [_object(item, "Every event of the batch") for item in items]
        publications = [_publication(event, _channels(event)) for event in events]
        infos = [attributes(_value(event.get("info"))) for event in events]
        keys = [self._idempotency.key(*_keys(event)) for event in events]
        self._publisher.check(app, publications)
        headers: Headers = ()

        async def publish(new: Sequence[int]) -> list[bytes]:
            nonlocal headers
            fresh = [publications[index] for index in new]
            if not fresh:
                return []
            headers = await self._access.count_events(app, sum(len(publication.channels) for publication in fresh))
            await self._publisher.publish(app, fresh)
            return await self._batch_answers(app, fresh, [infos[index] for index in new])

        if any(keys):
            answers = await self._idempotency.answer_each(app, keys, publish)
        else:
            answers = await publish(range(len(publications)))
        if not any(infos):
            return ApiResponse(200, _NOTHING_TO_SAY, headers)
        return ApiResponse(200, b'{"batch":[%b]}' % b",".join(answers), headers)

    async def _batch_answers(
        self, app: App, publications: Sequence[Publication], infos: Sequence[frozenset[str]]
    ) -> list[bytes]:
        """What each event of a batch asked, as a publish of its own answers it where it names several channels."""
        if not any(infos):
            return [_NOTHING_TO_SAY] * len(publications)
        asked = [(channel, info) for p, info in zip(publications, infos, strict=True) for channel in p.channels]
        found = iter(await self._attributes(app, *zip(*asked, strict=True)))
        answers: list[Any] = []
        for publication, info in zip(publications, infos, strict=True):
            each = {channel: next(found) for channel in publication.channels}
            alone = len(publication.channels) == 1
            answers.append(each[publication.channels[0]] if alone else {"channels": each} if info else {})
        return [orjson.dumps(answer) for answer in answers]

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
        return _NO_ATTRIBUTES
    names = info.split(",") if isinstance(info, str) else info
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise invalid("info must be a text of comma-separated attributes")
    return frozenset(name.strip() for name in names) - {""}


def _object(text: bytes, what: str) -> Members:
    """The members of a JSON object, each as it was sent."""
    try:
        members = json_text.members(text)
    except ValueError as problem:
        raise invalid(f"The body is not valid JSON: {_where(text)}") from problem
    if members is None:
        raise invalid(f"{what} must be a JSON object")
    return members


def _where(text: bytes) -> str:
    """What is wrong with it, in words."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        return str(problem)
    return "nested too deeply"


def _value(text: bytes | None) -> Any:
    """What a member stands for; None also where there is none."""
    if text is None:
        return None
    try:
        return loads(text)
    except ValueError as problem:
        raise invalid("The body is nested too deeply") from problem


def _publication(event: Members, channels: tuple[str, ...]) -> Publication:
    name = _value(event.get("name"))
    socket_id = _value(event["socket_id"]) if "socket_id" in event else None
    if not isinstance(name, str):
        raise invalid("name is required and must be a text")
    if "data" not in event:
        raise invalid("data is required")
    data, spelling = _data(event["data"])
    if socket_id is not None and (not isinstance(socket_id, str) or not socket_id):
        raise invalid("The socket_id is not valid")
    return Publication(name, data, channels, socket_id or "", (event["name"], spelling))


def _data(text: bytes) -> tuple[str, bytes]:
    """The data and its spelling. Libraries send text, passed on untouched; others become their JSON text (H-11)."""
    value = _value(text)
    if isinstance(value, str):
        return value, text
    try:
        data = orjson.dumps(value).decode()
    except TypeError as problem:
        if _HALF.search(text) is None:
            raise invalid("data is nested too deeply") from problem
        data = text.decode()  # spelled as it came
    return data, dumps(data)


def _keys(event: Members) -> tuple[object, object]:
    """Where an event's idempotency key may stand: on its own, or among the extras of Sockudo's libraries."""
    own = _value(event["idempotency_key"]) if "idempotency_key" in event else None
    extras = _value(event["extras"]) if "extras" in event else None
    return own, extras.get("idempotency_key") if isinstance(extras, dict) else None


def _channels(event: Members) -> tuple[str, ...]:
    """`channels`, or `channel` where only that is given."""
    channels = _value(event.get("channels"))
    if channels is None:
        return _channel(event)
    if not isinstance(channels, list) or not all(isinstance(channel, str) for channel in channels):
        raise invalid("channels must be an array of names")
    return tuple(channels)


def _channel(event: Members) -> tuple[str, ...]:
    channel = _value(event.get("channel"))
    if channel is None:
        raise ApiError(HTTPStatus.BAD_REQUEST, "missing_channel_info", "The event names no channel")
    if not isinstance(channel, str):
        raise invalid("channel must be a name")
    return (channel,)
