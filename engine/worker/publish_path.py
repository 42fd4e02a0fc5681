"""Chooses how publishes and client events are served: in C where nothing is waited for, without aiohttp if that can be.

Decides once, at start; it reads no request.
"""

from __future__ import annotations

import logging

from engine._fast import llhttp
from engine._fast.client_event import PlainClientEvents
from engine._fast.hub import Hub
from engine._fast.plain_publish import PlainPublisher
from engine.app_manager import AppManager
from engine.config.root import Config
from engine.http.fast_path import FastPath
from engine.http.routes import Api
from engine.interfaces import Adapter
from engine.metrics.metrics import Metrics
from engine.protocol.api_auth import TIMESTAMP_WINDOW_S
from engine.tasks import serve, serve_eagerly
from engine.webhooks.emitter import Emitter
from engine.ws.client_events import are_reported, only_sent

_log = logging.getLogger(__name__)


def fast_path(
    config: Config,
    api: Api,
    apps: AppManager,
    hub: Hub,
    adapter: Adapter,
    metrics: Metrics,
    *,
    alone: bool,
    waits: bool,
) -> FastPath | None:
    """None where aiohttp must read all requests.

    :param alone: no other worker has to hear of what is published. :param waits: a publish may have to wait for Redis.
    """
    if api.limits_addresses:
        return None  # a limit of requests of one address needs aiohttp's reading of who that is
    if not llhttp.available():
        _log.warning("this aiohttp has no llhttp of its own: publishes are read by it alone, at several times the cost")
        return None
    plain = None
    if _is_for_c(config, adapter, alone=alone):
        durations = metrics.http.duration_s
        plain = PlainPublisher(apps, hub, None, TIMESTAMP_WINDOW_S, durations, adapter.link, adapter.awaited)
    return FastPath(
        api,
        config.cors,
        plain,
        serve if waits else serve_eagerly,
        config.path_prefix,
        config.http_api.request_limit_bytes,
    )


def plain_client_events(
    config: Config, hub: Hub, adapter: Adapter, metrics: Metrics, emitter: Emitter, *, alone: bool
) -> PlainClientEvents | None:
    """What sends client events in C; None where there is no way for it, or each is logged. :param alone: as above."""
    if not _is_for_c(config, adapter, alone=alone):
        return None
    counted = metrics.events.by_clients
    return PlainClientEvents(
        hub, adapter.link, counted, only_sent, are_reported, emitter.client_event, awaited=adapter.awaited
    )


def _is_for_c(config: Config, adapter: Adapter, *, alone: bool) -> bool:
    """Whether C may send by itself: it has a way to all whom to send to, and what it sends nobody can log."""
    return (alone or adapter.link is not None or adapter.awaited is not None) and not config.debug
