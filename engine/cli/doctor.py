"""`python -m engine doctor`: looks at everything between this machine's kernel and a client's first event.

Only puts the parts in order; each part looks, and none of them repairs anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from engine._fast.signature import Signer
from engine.app import App, HttpTarget
from engine.cli import doctor_machine, doctor_redis, doctor_road
from engine.cli.finding import Finding, print_findings
from engine.cli.target import api_target, choose_app, describe, http_url
from engine.cli.webhooks import trial_job
from engine.config.loading.load import Loaded
from engine.config.root import Config
from engine.errors import DeliveryError
from engine.occupancy.redis_keys import Keys
from engine.protocol.address import Networks
from engine.redis.suitability import Ground
from engine.webhooks.senders.registry import Senders

#: No endpoint may take what is signed with it.
_WRONG_SECRET = "doctor-signs-with-a-wrong-secret"


def examine(
    loaded: Loaded, apps: Sequence[App], app_id: str | None, url: str | None, *, idle: bool, as_json: bool, backlog: int
) -> int:
    """Print what is found; returns the exit status: 1 when there is a problem. Raises ConfigError for an address or an
    application that cannot be meant, before anything is looked at.

    :param url: the public address, by which clients come; None is this machine's own.
    :param backlog: of the engine's listening sockets.
    """
    address = http_url(loaded.config, url)
    app = choose_app(apps, app_id) if apps else None
    found = _findings(loaded, apps, app, address, public=url is not None, idle=idle, backlog=backlog)
    return print_findings(found, as_json=as_json)


def _findings(
    loaded: Loaded, apps: Sequence[App], app: App | None, address: str, *, public: bool, idle: bool, backlog: int
) -> Iterator[Finding]:
    config = loaded.config
    for warning in loaded.warnings:
        yield Finding("warning", "configuration", warning)
    engine = doctor_machine.engine_of(config)
    running = engine != 0
    yield doctor_machine.files(doctor_machine.files_limit(engine))
    yield from doctor_machine.kernel(backlog)
    yield doctor_machine.room(engine=engine)
    yield from doctor_machine.ports(config, running=running)
    yield from doctor_machine.certificate(loaded.certificate)
    yield doctor_machine.secrets(config, apps, public=public)
    resolved = loaded.resolved
    if resolved.redis is not None:
        ground = Ground.of(config, resolved.redis, Keys(config.database.redis.key_prefix).base)
        yield from doctor_redis.ask(resolved.redis, ground, queue=resolved.queue == "redis")
    elif resolved.redis_embedded:
        yield doctor_machine.writable(Path(config.database.redis.embedded.data_dir).absolute())
    if app is None:
        yield Finding("problem", "applications", "there is none, so nobody can connect", "docs/applications.md")
        return
    hindrance = None if public else _hindrance(config, running=running)
    if hindrance is None:
        # Where the API has an address of its own, the public one does not lead to it.
        api = api_target(config, address if public and not config.http_api.elsewhere else None)
        yield from asyncio.run(_road(app, address, api, idle=idle))
    else:
        yield Finding("skipped", "road", f"not tried: {hindrance}", "give the public address with --url")
    yield from asyncio.run(_webhooks(app, Senders(allow_private_targets=config.webhooks.allow_private_targets)))


def _hindrance(config: Config, *, running: bool) -> str | None:
    """Why this machine's own address leads to no engine."""
    if not running:
        return "no engine runs here with this configuration"
    if config.unix_socket.enabled:
        return "the engine listens on a Unix socket"
    if config.proxy_protocol.enabled and Networks(config.balancers).hold("127.0.0.1"):
        return "who connects from this machine must send the PROXY protocol's header"
    return None


async def _road(app: App, url: str, api: tuple[str, str | None], *, idle: bool) -> list[Finding]:
    return [finding async for finding in doctor_road.walk(app, url, api, idle=idle)]


async def _webhooks(app: App, senders: Senders) -> list[Finding]:
    """Each endpoint gets a test event, and the same with a signature that does not hold."""
    found: list[Finding] = []
    stranger = replace(app, secret=_WRONG_SECRET, signer=Signer(_WRONG_SECRET))
    await senders.start()
    try:
        await senders.prepare([app])
        for endpoint in app.endpoints:
            send, where = senders.by_kind[endpoint.target.kind].send, describe(endpoint)
            try:
                await send(app, endpoint, trial_job(app, endpoint))
            except DeliveryError as error:
                remedy = "python -m engine webhooks test shows it again; docs/webhooks.md says what an endpoint must do"
                found.append(Finding("problem", "webhook", f"{where}: {error}", remedy))
                continue
            found.append(Finding("ok", "webhook", f"{where} took a test event"))
            if not isinstance(endpoint.target, HttpTarget):
                continue
            try:
                await send(stranger, endpoint, trial_job(app, endpoint))
            except DeliveryError:
                found.append(Finding("ok", "webhook", f"{where} refuses a signature that does not hold"))
            else:
                text = f"{where} takes a signature that does not hold: anybody can send it events"
                remedy = "compare X-Pusher-Signature with the HMAC-SHA256 of the body (docs/webhooks.md, Verifying)"
                found.append(Finding("problem", "webhook", text, remedy))
    finally:
        await senders.stop()
    return found
