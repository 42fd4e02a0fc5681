"""Hundreds of guests who come, subscribe, unsubscribe, move and go in every way there is, until they are told to rest.

Knows at any time what is true: who holds what.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random

from tests.chaos.diary import Diary
from tests.chaos.guest import Guest
from tests.chaos.plan import Plan

#: What a guest with a connection does next.
ACTIONS = {"subscribe": 9, "unsubscribe": 5, "flicker": 2, "move": 2, "close": 1, "abort": 1}
MAX_CHANNELS = 6


class Crowd:
    """:param urls: where guests may connect at the moment."""

    def __init__(self, plan: Plan, urls: Callable[[], Sequence[str]], diary: Diary) -> None:
        self._plan = plan
        self._urls = urls
        self._diary = diary
        self._resting = False
        self._guests: list[Guest] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.refusals: list[str] = []

    def start(self) -> None:
        for number in range(self._plan.guests):
            self._tasks.append(asyncio.create_task(self._live(number), name=f"guest-{number}"))

    async def rest(self) -> None:
        """Nobody begins anything more. Those who are there stay."""
        self._resting = True
        await asyncio.gather(*self._tasks)

    async def leave(self) -> None:
        """Everybody goes, each in one of the ways."""
        chance = Random(f"leaving {self._plan.seed}")
        for guest in self._living():
            way = chance.choice((guest.close, guest.abort, None))
            if way is None:
                for channel in sorted(guest.channels):
                    self._unsubscribe(guest, channel)
            else:
                self._note_all(guest, f"{guest.user} goes ({way.__name__})")
                way()
            await asyncio.sleep(0)

    def close(self) -> None:
        """Whoever is left is cut off."""
        for task in self._tasks:
            task.cancel()
        for guest in self._living():
            guest.abort()

    # --- the truth

    def settled(self) -> bool:
        """Whether nobody waits for an answer."""
        return not any(guest.waiting for guest in self._living())

    def subscriptions(self) -> dict[str, int]:
        """channel -> connections that hold it."""
        counts: dict[str, int] = {}
        for guest in self._living():
            for channel in guest.channels:
                counts[channel] = counts.get(channel, 0) + 1
        return counts

    def members(self) -> dict[str, set[str]]:
        """Presence channel -> users who are there."""
        members: dict[str, set[str]] = {}
        for guest in self._living():
            for channel in guest.channels:
                if channel.startswith("presence-"):
                    members.setdefault(channel, set()).add(guest.user)
        return members

    def wrong_rosters(self) -> list[str]:
        """Guests who believe something else of who is there than is true."""
        members = self.members()
        return [
            f"{guest.user} ({guest.socket_id}) in {channel} sees {sorted(seen)}, there are {sorted(members[channel])}"
            for guest in self._living()
            for channel, seen in guest.rosters.items()
            if seen != members[channel]
        ]

    # --- one guest's life

    async def _live(self, number: int) -> None:
        chance = Random(f"guest {self._plan.seed} {number}")
        user = f"u{number % self._plan.users}"
        guest = Guest(user)
        while not self._resting:
            await asyncio.sleep(chance.expovariate(1 / self._plan.pause_s))
            if self._resting:
                break
            if guest.alive:
                await self._act(guest, chance)
            else:
                guest = await self._connect(user, chance) or guest

    async def _connect(self, user: str, chance: Random) -> Guest | None:
        guest = Guest(user)
        urls = self._urls()
        if not urls or not await guest.connect(chance.choice(urls)):
            self._diary.count("connects that failed")
            return None
        self._diary.count("connects")
        self._guests = [*self._living(), guest]
        return guest

    async def _act(self, guest: Guest, chance: Random) -> None:
        [action] = chance.choices(list(ACTIONS), list(ACTIONS.values()))
        held = sorted(guest.channels)
        match action:
            case "subscribe" if len(held) < MAX_CHANNELS:
                self._subscribe(guest, self._some_channel(chance))
            case "unsubscribe" if held:
                self._unsubscribe(guest, chance.choice(held))
            case "flicker" if held:
                channel = chance.choice(held)
                self._unsubscribe(guest, channel)
                self._subscribe(guest, channel)
            case "move" if held:
                # As a page that is loaded anew.
                self._note_all(guest, f"{guest.user} moves away ({guest.socket_id})")
                guest.abort() if chance.random() < 0.5 else guest.close()
                self._diary.count("moves")
                if other := await self._connect(guest.user, chance):
                    for channel in held:
                        self._subscribe(other, channel)
            case "close" | "abort":
                self._note_all(guest, f"{guest.user} goes ({action}, {guest.socket_id})")
                self._diary.count(f"{action}s")
                guest.close() if action == "close" else guest.abort()

    def _subscribe(self, guest: Guest, channel: str) -> None:
        if guest.alive and channel not in guest.channels:
            guest.subscribe(channel)
            self._diary.note(f"{guest.user} comes ({guest.socket_id})", channel)
            self._diary.count("subscriptions")

    def _unsubscribe(self, guest: Guest, channel: str) -> None:
        if channel in guest.channels:
            guest.unsubscribe(channel)
            self._diary.note(f"{guest.user} unsubscribes ({guest.socket_id})", channel)
            self._diary.count("unsubscriptions")

    def _note_all(self, guest: Guest, text: str) -> None:
        for channel in guest.channels:
            self._diary.note(text, channel)

    def _some_channel(self, chance: Random) -> str:
        # Few are busy, many are nearly empty: both races of arrivals and last ones going.
        kind, rooms = chance.choice((("room", self._plan.rooms), ("presence-room", self._plan.presence_rooms)))
        return f"{kind}-{int(rooms * chance.random() ** 2)}"

    def _living(self) -> list[Guest]:
        """Forgets those who are gone, but not what they had to complain of."""
        for guest in self._guests:
            self.refusals += guest.refusals
            guest.refusals.clear()
        self._guests = [guest for guest in self._guests if guest.alive]
        return self._guests
