"""What the console may ask a worker, by name: what only a worker can do, and what one worker alone keeps to itself.

Makes nothing of it: arguments and answers are plain JSON.
"""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from engine.errors import ApiError
from engine.interfaces import OccupancyPages
from engine.worker.console_link import Call


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
