"""Plays many seeds, or many faults, in several processes, each with a Valkey of its own.

Used by the command line; the tests call `seek` and `play` themselves.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.simulation.judge import Outcome, play
from tests.simulation.lives import Violation
from tests.simulation.mutation import Mutation
from tests.simulation.plan import Plan
from tests.support.valkey import ValkeyServer

Task, Result = TypeVar("Task"), TypeVar("Result")

#: The socket of this process' own Valkey.
_path = ""


@dataclass(frozen=True, slots=True)
class Found:
    """:ivar tried: seeds played until it was found. :ivar violation: "" if it was not."""

    mutation: Mutation
    seed: int
    tried: int
    violation: str


@contextlib.contextmanager
def players(jobs: int) -> Iterator[Callable[[Callable[[Task], Result], Iterable[Task]], Iterator[Result]]]:
    """A `map` over so many processes, with results in order."""
    spawning = multiprocessing.get_context("spawn")
    paths = spawning.SimpleQueue()
    with contextlib.ExitStack() as stack:
        for _ in range(jobs):
            paths.put(str(stack.enter_context(ValkeyServer()).socket))
        pool = stack.enter_context(ProcessPoolExecutor(jobs, spawning, initializer=_begin, initargs=(paths,)))
        yield pool.map


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def seek(mutation: Mutation, path: str, seeds: Iterable[int]) -> Found:
    """Play these until the fault is found."""
    tried = seed = 0
    for seed in seeds:
        tried += 1
        try:
            play(Plan.of(seed, loses=mutation.loses), path, mutation)
        except Violation as violation:
            return Found(mutation, seed, tried, str(violation))
    return Found(mutation, seed, tried, "")


def play_one(task: tuple[int, bool | None]) -> tuple[int, Outcome | str]:
    """For `players`: one seed, and what it came to."""
    seed, loses = task
    try:
        return seed, play(Plan.of(seed, loses=loses), _path)
    except Violation as violation:
        return seed, str(violation)


def seek_one(task: tuple[Mutation, int, int]) -> Found:
    """For `players`: one fault, with so many seeds from the first one."""
    mutation, first, seeds = task
    first = max(first, mutation.first)
    return seek(mutation, _path, range(first, first + seeds))


def _begin(paths: Any) -> None:
    global _path  # noqa: PLW0603 (one per process, set once)
    _path = paths.get()
    logging.getLogger("engine").setLevel(logging.CRITICAL)
