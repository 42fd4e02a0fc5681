"""What a trace begins with: what this worker knows, at that moment, of what is followed. It changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from engine._fast.connection import Connection
from engine.trace.follow import Follow
from engine.webhooks.filter import wants
from engine.worker.trace_taps import Followed, count_of, some, users_of

STATE = "state"


def describe(parts: Followed, follow: Follow) -> list[tuple[str, str]]:
    """(stage, text) of each line."""
    return [(STATE, text) for text in _lines(parts, follow)]


def _lines(parts: Followed, follow: Follow) -> Iterator[str]:
    ready, why = parts.health.ready()
    if not ready:
        yield f"this worker is not ready: {why}"
    app_ids = [follow.app] if follow.app else [app.id for app in parts.apps.all()]
    if follow.app:
        yield from _app(parts, follow)
    if follow.channel:
        yield from _channel(parts, follow, app_ids)
    if follow.socket:
        connection = parts.hub.get(follow.socket)
        yield _socket(parts, connection) if connection else f"socket {follow.socket} is not on this worker"
    if follow.user:
        yield from _user(parts, follow)
    if not follow.app and follow.event and not (follow.channel or follow.socket or follow.user):
        yield "waiting for it to be published"


def _app(parts: Followed, follow: Follow) -> Iterator[str]:
    app = parts.apps.by_id(follow.app)
    if app is None:
        yield f"there is no app {follow.app} here"
        return
    enabled = "enabled" if app.enabled else "not enabled: neither clients nor requests are let in"
    yield f"app {app.id} is {enabled}; {count_of(parts.hub.traffic(app.id).connections, 'connection')} on this worker"


def _channel(parts: Followed, follow: Follow, app_ids: list[str]) -> Iterator[str]:
    found = False
    for app_id in app_ids:
        channel = parts.hub.channel(app_id, follow.channel)
        if channel is None:
            continue
        found = True
        sockets = [connection.socket_id for connection in channel.connections()]
        waiting = len(channel) - len(sockets)
        text = f"app {app_id}: {count_of(len(sockets), 'socket')} of this worker in {follow.channel}"
        text += f": {some(sockets)}" if sockets else ""
        yield text + (f"; {waiting} more not acknowledged yet" if waiting else "")
    if not found:
        yield f"nobody on this worker is in {follow.channel}"
    for app_id in app_ids:
        app = parts.apps.by_id(app_id)
        for endpoint in app.endpoints if app is not None else ():
            names = [name for name in sorted(endpoint.event_types) if wants(endpoint, name, follow.channel)]
            if names:
                yield f"app {app_id}: webhook {endpoint.id} wants {', '.join(names)} of {follow.channel}"


def _socket(parts: Followed, connection: Connection) -> str:
    names = [channel.name for channel in parts.hub.channels_of(connection)]
    joining = list(connection.state.joining())
    users = sorted({user for name in names for user in users_of(name, [connection])} | users_of("", [connection]))
    text = f"socket {connection.socket_id} is on this worker, app {connection.traffic.app_id}, in "
    text += some(names) if names else "no channel"
    text += f"; waits to be in {some(joining)}" if joining else ""
    return text + (f"; it is user {some(users)}" if users else "")


def _user(parts: Followed, follow: Follow) -> Iterator[str]:
    found = False
    for connection in parts.hub.connections():
        if follow.app and connection.traffic.app_id != follow.app:
            continue
        names = ["", *(channel.name for channel in parts.hub.channels_of(connection))]
        if any(follow.user in users_of(name, [connection]) for name in names):
            found = True
            yield _socket(parts, connection)
    if not found:
        yield f"user {follow.user} is on no socket of this worker"
