"""What the occupancy scripts repeat of the engine's facts, because Lua cannot import them, is equal to those."""

from __future__ import annotations

import re
from pathlib import Path

from engine.config.event_types import EVENT_TYPES, TRANSITIONS
from engine.config.webhooks import MAX_SETTLE_MS
from engine.protocol.channel import USER_PREFIX, WATCH_PREFIX
from engine.protocol.messages import COUNT_AT_ONCE, COUNT_EVERY_S
from engine.redis import scripts

FOLDER = Path(scripts.__file__).parent / "lua"
SOURCES = {path.stem: path.read_text() for path in FOLDER.glob("occupancy_*.lua")}
COMMON = SOURCES["occupancy_common"]


def test_scripts_decide_the_transitions_that_exist() -> None:
    words = {word for source in SOURCES.values() for word in re.findall(r"'(\w+)'", source)}
    assert words & {*EVENT_TYPES} == TRANSITIONS
    assert not {word for word in words if word.startswith(("channel_", "member_", "subscription_"))} - TRANSITIONS


def test_scripts_announce_large_counts_as_seldom_as_the_engine() -> None:
    found = re.findall(r"^local COUNT_AT_ONCE, COUNT_EVERY_US = (\d+), (\d+)$", COMMON, re.MULTILINE)
    assert found == [(str(COUNT_AT_ONCE), str(COUNT_EVERY_S * 1_000_000))]


def test_scripts_bridge_a_step_back_of_the_clock_for_as_long_as_anything_may_settle() -> None:
    shared = (FOLDER / "shared_keys.lua").read_text()
    assert re.findall(r"^local MAX_SETTLE_US = (\d+)$", shared, re.MULTILINE) == [str(MAX_SETTLE_MS * 1000)]


def test_scripts_know_the_channels_of_a_user_and_its_watchers() -> None:
    assert COMMON.count("'^" + USER_PREFIX.replace("-", "%-") + "(.+)$'") == 1
    assert COMMON.count(f"'/{WATCH_PREFIX}'") == 1
