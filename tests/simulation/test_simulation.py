"""A short form of `make simulate`: some dozens of seeds come right, and faults in the engine are found.

Fast, since time is virtual. `python -m tests.simulation` replays what fails here.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.judge import Outcome, play
from tests.simulation.lives import Violation
from tests.simulation.mutation import Mutation
from tests.simulation.mutations.every import ALL
from tests.simulation.plan import Plan
from tests.simulation.runner import seek
from tests.simulation.server import COMMON, NAMES, source_of
from tests.support.valkey import ValkeyServer

ROOT = Path(__file__).resolve().parents[2]
SEEDS_AT_ONCE = 6
#: Each breaks another kind of promise, and is found soon: most by the first seed of all, the others by the one here.
FAULTS = {
    "commit does not check the lease": 0,
    "commit leaves the entries in the log": 0,
    "purge does not check the lease": 1,
    "purge leaves the worker among the living": 0,
    "a report that comes late replaces newer ones": 6,
    "a return does not cancel a departure that settles": 1,
    "a second worker of a member is not counted": 0,
    "workers do not hear who goes": 0,
    "nothing is told again": 0,
    "a replica that never knew a worker is not noticed": 6,
    "the last connection of a member is not told to be gone": 0,
    "a leader reaps nobody": 0,
}
#: Seeds that found a fault of the engine or of the simulation, and whether their server loses data.
FAILED_ONCE = ((400820, True), (400968, True), (600725, True), (4091, False), (479, False), (4753, False))
#: Seeds within which each of them is found.
WITHIN = 12
#: One that takes a chain of events that few seeds bring about, and the first seed that does.
RARE, RARELY = "the leader does not remember whom it reaped", 155


@pytest.fixture(scope="module")
def path() -> Iterator[str]:
    """The socket of a Valkey that nobody else uses: a simulation flushes it."""
    with ValkeyServer() as server:
        yield str(server.socket)


@pytest.mark.parametrize("loses", [False, True], ids=["keeps", "loses"])
@pytest.mark.parametrize("first", range(0, 12, SEEDS_AT_ONCE))
def test_everything_comes_right(path: str, first: int, loses: bool) -> None:
    for seed in range(first, first + SEEDS_AT_ONCE):
        try:
            play(Plan.of(seed, loses=loses), path)
        except Violation as violation:
            words = f"--seed {seed} --loses {'yes' if loses else 'no'} -v"
            pytest.fail(f"{violation}; replay: python -m tests.simulation {words}")


@pytest.mark.parametrize(("seed", "loses"), FAILED_ONCE)
def test_what_failed_once_comes_right(path: str, seed: int, loses: bool) -> None:
    play(Plan.of(seed, loses=loses), path)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(path: str, name: str) -> None:
    """And by a seed that finds nothing without it. The one that has found it before is asked first, to be quick."""
    [fault] = [known for known in ALL if known.name == name]
    found = seek(fault, path, (FAULTS[name], *range(WITHIN)))
    assert found.violation, f"not found by {found.tried} seeds"
    comes_right(path, found.seed, fault.loses)


@functools.cache
def comes_right(path: str, seed: int, loses: bool | None) -> Outcome:
    """Once for all faults that the same seed finds: it is the same story each time."""
    return play(Plan.of(seed, loses=loses), path)


def test_a_worker_comes_back_to_life_on_a_replica(path: str) -> None:
    [fault] = [known for known in ALL if known.name == RARE]
    assert seek(fault, path, [RARELY]).violation
    comes_right(path, RARELY, True)


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.name)
def test_every_fault_fits_the_engine(fault: Mutation) -> None:
    """The list keeps up with the text that it changes; `--mutations` shows that each is found."""
    for name in NAMES if fault.in_script else ():
        if fault.place in (name, COMMON):
            assert source_of(name, fault) != source_of(name, None)
    with fault.applied():
        pass
    assert fault.in_script is (fault.place in (*NAMES, COMMON))


def test_faults_have_names_of_their_own() -> None:
    assert len({fault.name for fault in ALL}) == len(ALL)


def test_a_seed_is_the_same_story_in_every_process() -> None:
    stories = [
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "3", "--loses", "yes", "-v"],
            check=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            timeout=50,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert stories[0] == stories[1]
    assert len(stories[0].splitlines()) > 100
