"""Numbers on the command line: how they are read, and those that `capacity` is asked for.

Works nothing out and imports nothing of the engine: it is read with every command.
"""

from __future__ import annotations

import argparse

#: Of anything.
MAX_AMOUNT = 1e9


def add_amounts(parser: argparse.ArgumentParser) -> None:
    options: tuple[tuple[str, str, float | None, str], ...] = (
        ("connections", "N", None, "clients at one time, as in 1e6"),
        ("publishes", "N", 0, "events a second by the HTTP API"),
        ("client-events", "N", 0, "events a second by clients"),
        ("webhooks", "N", 0, "webhook events a second"),
        ("subscribers", "N", 10, "clients that hear of one event"),
        ("bytes", "N", 200, "of the data of an event"),
        ("channels", "N", 0, "with a subscriber, at one time; 0 is as many as connections"),
        ("joins-per-connection", "N", 3, "channels that a client subscribes to"),
        ("session-s", "N", 1800, "how long a client stays"),
        ("connects", "N", 0, "clients that come in a second; 0 is as many as go by themselves"),
        ("cores", "N", 8, "of one node; each has a worker"),
        ("memory-gib", "N", 16, "of one node"),
        ("network-gbit", "N", 10, "of one node, and of Redis"),
        ("use", "PERCENT", 60, "of cores, memory and network that is to be used; the rest is for peaks"),
    )
    for name, metavar, default, help_ in options:
        shown = "" if default is None else f" (default: {default:g})"
        parser.add_argument(
            f"--{name}", metavar=metavar, type=amount, default=default, required=default is None, help=help_ + shown
        )
    parser.add_argument("--json", action="store_true", help="one JSON object, for scripts")


def amount(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= MAX_AMOUNT:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to {MAX_AMOUNT:g}")
    return number


def count(text: str) -> int:
    return _whole(text, 1, 1024)


def seconds(text: str) -> int:
    return _whole(text, 1, 3600)


def percent(text: str) -> int:
    return _whole(text, 1, 100)


def port(text: str) -> int:
    return _whole(text, 1, 65535)


def _whole(text: str, low: int, high: int) -> int:
    if not text.isdecimal() or not low <= int(text) <= high:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from {low} to {high}")
    return int(text)
