"""Occupancy and member webhooks read as stories: one per channel, one per member of a channel.

The judge of the simulation and of the chaos run: knows what an application was told, nothing of how it was decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

COMES = ("channel_occupied", "member_added")
GOES = ("channel_vacated", "member_removed")


@dataclass(slots=True)
class Belief:
    """What an application believes that only listens to its webhooks."""

    occupied: set[str] = field(default_factory=set)
    members: dict[str, set[str]] = field(default_factory=dict)


def read(
    events: Iterable[Mapping[str, Any]], *, repeats: bool = False, grows: bool | None = None
) -> tuple[Belief, list[str]]:
    """Take events in the order of telling: what to believe at the end, and every fault of the story.

    :param repeats: whether something may be told again, as after the shared state has lost data; then the end counts.
    :param grows: whether `seq` must grow all the same; None where nothing repeats itself, and there alone.
    """
    grows = not repeats if grows is None else grows
    belief, faults = Belief(), []
    last_seq: dict[tuple[str, str], int] = {}
    for event in events:
        name, channel, user = event["name"], event["channel"], event.get("user_id", "")
        if name not in (*COMES, *GOES):
            continue
        if grows and event["seq"] <= last_seq.get((channel, user), 0):
            faults.append(f"{name} of {channel} {user}: seq {event['seq']} came after {last_seq[channel, user]}")
        last_seq[channel, user] = event["seq"]
        members = belief.members.setdefault(channel, set())
        holds = user in members if user else channel in belief.occupied
        if holds == (name in COMES) and not repeats:
            faults.append(f"{name} of {channel} {user} at {event['seq']}, though that was so already")
        match name:
            case "channel_occupied":
                belief.occupied.add(channel)
            case "channel_vacated":
                belief.occupied.discard(channel)
                if members and not repeats:
                    faults.append(f"{channel} vacated at {event['seq']} with members {sorted(members)}")
            case "member_added":
                members.add(user)
                if channel not in belief.occupied and not repeats:
                    faults.append(f"{user} added to {channel} at {event['seq']}, which is not occupied")
            case "member_removed":
                members.discard(user)
    return belief, faults
