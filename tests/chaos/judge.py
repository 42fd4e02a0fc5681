"""Plays one plan from its troubles to the end, and demands that everything comes right: nothing lost, nothing twice.

Waits for conditions only: for the truth to be told, and then for everybody's leaving.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from tests.chaos.cluster import Cluster
from tests.chaos.crowd import Crowd
from tests.chaos.diary import Diary
from tests.chaos.grounds import Ground
from tests.chaos.ledger import Ledger
from tests.chaos.plan import Plan
from tests.chaos.report import history, table
from tests.chaos.trouble import Trouble
from tests.support.engine import APP, ROOT, Engine

#: Within so long: a stuck worker's end, a lease, a silent worker's time, a retry, and all that on a busy machine.
CALM_S = 60.0
LOOK_EVERY_S = 0.25
WATCH_EVERY_S = 2.0
#: Where the logs of a run that failed are kept, in a folder for each seed.
KEPT_LOGS = ROOT / "build" / "chaos"


class Violation(AssertionError):
    """Something that must never happen, with all that helps to find out why it did."""


class _Unanswered(Exception):
    """Something else than what was asked for."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is played, and what was seen of it."""

    plan: Plan
    cluster: Cluster
    crowd: Crowd
    ledger: Ledger
    diary: Diary


def play(plan: Plan, say: Callable[[str], None] | None = None, ground: Ground | None = None) -> str:
    """The table of what was done and found. Raises Violation.

    :param say: gets the faults, line by line, as they are made. :param ground: as `Cluster` has it.
    """
    with Cluster(plan.settle_ms, ground) as cluster:
        return asyncio.run(_play(plan, cluster, Diary(say)))


async def _play(plan: Plan, cluster: Cluster, diary: Diary) -> str:
    trouble = Trouble(plan, cluster, diary)
    crowd = Crowd(plan, lambda: [node.engine.ws_url for node in trouble.up], diary)
    run = Run(plan, cluster, crowd, Ledger(cluster.receiver, APP["secret"], cluster.ground.loses), diary)
    crowd.start()
    try:
        await _watched(run, trouble)
        await crowd.rest()
        diary.note("calm")
        await until_right(run, "calm")
        await crowd.leave()
        diary.note("everybody leaves")
        await until_right(run, "leaving")
        await until_nothing_is_left(run)
        for node in cluster.nodes:
            if faults := await asyncio.to_thread(node.end):
                raise Violation(_explained(run, faults))
    except BaseException:
        diary.note("the run ends early")
        for node in cluster.nodes:
            diary.note(f"log of node {node.name}: {node.keep_log(KEPT_LOGS / str(plan.seed))}")
        raise
    finally:
        crowd.close()
    return table(plan, run.diary, run.ledger)


async def _watched(run: Run, trouble: Trouble) -> None:
    """Let the trouble happen, and see at once when something is told that can never be right again."""
    task = asyncio.create_task(trouble.run(), name="trouble")
    try:
        while not task.done():
            await asyncio.wait([task], timeout=WATCH_EVERY_S)
            _check_told(run)
        await task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until_right(run: Run, phase: str) -> None:
    """Wait until what was told and what is answered is the truth."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(*(asyncio.to_thread(node.wait_ready) for node in run.cluster.nodes))
    while wrong := await what_is_wrong(run):
        if loop.time() - began > CALM_S:
            raise Violation(_explained(run, [f"{CALM_S:g} s after {phase} still: {text}" for text in wrong]))
        await asyncio.sleep(LOOK_EVERY_S)
        _check_told(run)
    _check_told(run)
    run.diary.note(f"all is right {loop.time() - began:.1f} s after {phase}")


async def what_is_wrong(run: Run) -> list[str]:
    """What is not as it should be, the nearest things first; [] if all is."""
    if not run.crowd.settled():
        return ["guests wait for an answer to their subscriptions"]
    if wrong := _untold(run) or run.crowd.wrong_rosters():
        return wrong
    truth, members = run.crowd.subscriptions(), run.crowd.members()
    for node in run.cluster.nodes:
        if wrong := await asyncio.to_thread(_wrong_answers, node.engine, truth, members):
            return [f"node {node.name}: {text}" for text in wrong]
    return []


def _untold(run: Run) -> list[str]:
    run.ledger.read()
    belief = run.ledger.belief()
    told = {(channel, "") for channel in belief.occupied}
    told |= {(channel, user) for channel, users in belief.members.items() for user in users}
    true = {(channel, "") for channel in run.crowd.subscriptions()}
    true |= {(channel, user) for channel, users in run.crowd.members().items() for user in users}
    return [f"never told: {channel} {user}" for channel, user in sorted(true - told)] + [
        f"told and not so any more: {channel} {user}" for channel, user in sorted(told - true)
    ]


def _wrong_answers(engine: Engine, truth: dict[str, int], members: dict[str, set[str]]) -> list[str]:
    try:
        listed = _get(engine, "/channels", {"info": "subscription_count"})["channels"]
        users = {channel: _get(engine, f"/channels/{channel}/users")["users"] for channel in members}
    except (OSError, HTTPException, _Unanswered) as error:
        return [f"no answer: {error!r}"]
    counts = {channel: info["subscription_count"] for channel, info in listed.items()}
    wrong = [
        f"{channel} has {counts.get(channel, 0)} subscriptions by GET /channels, in truth {truth.get(channel, 0)}"
        for channel in sorted(counts.keys() | truth.keys())
        if counts.get(channel, 0) != truth.get(channel, 0)
    ]
    said = {channel: {user["id"] for user in answer} for channel, answer in users.items()}
    return wrong + [
        f"{channel} has users {sorted(said[channel])} by GET, in truth {sorted(there)}"
        for channel, there in members.items()
        if said[channel] != there
    ]


def _get(engine: Engine, path: str, params: dict[str, str] | None = None) -> Any:
    answer = engine.request("GET", path, params=params)
    if answer.status != 200:
        raise _Unanswered(answer)
    return answer.json


async def until_nothing_is_left(run: Run) -> None:
    """In Valkey neither; so no job is a dead letter, and none waits for ever."""
    loop = asyncio.get_running_loop()
    end = loop.time() + CALM_S
    while left := await asyncio.to_thread(run.cluster.leftovers):
        if loop.time() > end:
            raise Violation(_explained(run, [f"keys that nobody needs: {left}"]))
        await asyncio.sleep(LOOK_EVERY_S)
    run.ledger.read()
    _check_told(run)
    if wrong := await what_is_wrong(run):
        raise Violation(_explained(run, [f"all was right, and then: {text}" for text in wrong]))


def _check_told(run: Run) -> None:
    """What can never be right again."""
    run.ledger.read()
    stories = run.ledger.wrong_stories()
    faults = [fault for story in stories.values() for fault in story] + run.ledger.faults
    faults += [f"a guest was told {refusal}" for refusal in run.crowd.refusals]
    if faults:
        raise Violation(_explained(run, faults, list(stories)))


def _explained(run: Run, faults: list[str], channels: list[str] | None = None) -> str:
    """The faults, the histories of the first channels that they are about, and the table."""
    if channels is None:
        told = {told.event["channel"] for told in run.ledger.history} | run.crowd.subscriptions().keys()
        words = {word.rstrip(":;,") for fault in faults for word in fault.split()}
        channels = sorted(told & words)
    # The shortest ones are the easiest to read.
    shown = sorted((history(channel, run.diary, run.ledger) for channel in channels[:30]), key=len)[:3]
    return "\n".join(
        (
            f"{len(faults)} faults: ",
            *(f"  {fault}" for fault in faults[:20]),
            *shown,
            table(run.plan, run.diary, run.ledger),
        )
    )
