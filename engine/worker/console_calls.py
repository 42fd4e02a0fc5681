"""What the console may ask a worker, by name: what only a worker can do, and what one worker alone keeps to itself.

Makes nothing of it: arguments and answers are plain JSON.
"""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from engine.app_manager import AppManager
from engine.errors import ApiError
from engine.interfaces import OccupancyPages, WebhookQueue
from engine.publisher import Publication, Publisher
from engine.worker.console_link import Call


def publish_calls(publisher: Publisher, apps: AppManager) -> dict[str, Call]:
    """Of every worker: an event that the operator has made."""

    async def publish(asked: dict[str, Any]) -> dict[str, Any]:
        app = apps.by_id(asked["app"])
        if app is None or not app.enabled:
            raise ApiError(HTTPStatus.NOT_FOUND, "unknown_app", "there is no such application, or it is not enabled")
        await publisher.publish(app, [Publication(asked["event"], asked["data"], tuple(asked["channels"]))])
        return {}

    return {"publish": publish}


def page_calls(pages: OccupancyPages) -> dict[str, Call]:
    """Of a worker that is alone, which has who is where in its memory."""

    async def channels(asked: dict[str, Any]) -> dict[str, Any]:
        try:
            return asdict(await pages.channels(asked["app"], asked["prefix"], asked["after"], asked["limit"]))
        except ValueError as error:
            raise ApiError(HTTPStatus.BAD_REQUEST, "invalid_input", str(error)) from error

    async def members(asked: dict[str, Any]) -> dict[str, Any]:
        try:
            return asdict(await pages.members(asked["app"], asked["channel"], asked["after"], asked["limit"]))
        except ValueError as error:
            raise ApiError(HTTPStatus.BAD_REQUEST, "invalid_input", str(error)) from error

    async def counts(asked: dict[str, Any]) -> dict[str, Any]:
        return {"counts": await pages.counts(asked["app"], asked["channels"])}

    return {"channels": channels, "members": members, "counts": counts}


def queue_calls(queue: WebhookQueue) -> dict[str, Call]:
    """Of a worker whose queue is in its memory."""

    async def depth(_: dict[str, Any]) -> dict[str, Any]:
        return dict(await queue.depth())

    async def dead_letters(asked: dict[str, Any]) -> dict[str, Any]:
        return {"jobs": [asdict(job) for job in await queue.dead_letters(asked["limit"])]}

    async def delayed_jobs(asked: dict[str, Any]) -> dict[str, Any]:
        return {"jobs": [asdict(job) for job in await queue.delayed_jobs(asked["limit"])]}

    async def requeue(asked: dict[str, Any]) -> dict[str, Any]:
        return {"number": await queue.requeue(asked["id"])}

    async def hasten(asked: dict[str, Any]) -> dict[str, Any]:
        return {"number": await queue.hasten(asked["id"])}

    async def forget(asked: dict[str, Any]) -> dict[str, Any]:
        return {"number": await queue.forget(asked["id"])}

    async def purge(_: dict[str, Any]) -> dict[str, Any]:
        return {"number": await queue.purge_dead_letters()}

    return {
        "depth": depth,
        "dead_letters": dead_letters,
        "delayed_jobs": delayed_jobs,
        "requeue": requeue,
        "hasten": hasten,
        "forget": forget,
        "purge": purge,
    }
