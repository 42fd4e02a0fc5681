"""Every target of the fuzzers on what they have kept, and on that with some bytes changed; `make fuzz` goes on."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.targets import TARGETS, corpus, in_a_loop

#: Of each target. The configuration's are whole files that are read from a disk.
CHANGED = 200


def changed(chance: random.Random, data: bytes) -> bytes:
    made = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 5])):
        at = chance.randrange(len(made) + 1)
        match chance.randrange(3):
            case 0:
                made[at:at] = chance.randbytes(1)
            case 1:
                del made[at : at + chance.choice([1, 4])]
            case _:
                made[at : at + 1] = chance.choice([b"\0", b"\xff", b"\x7f", b'"', b"\r\n", b"{"])
    return bytes(made)


@pytest.mark.parametrize("name", TARGETS)
def test_what_the_fuzzers_have_kept_is_no_fault(name: str) -> None:
    chance, kept = random.Random(7), corpus(name)
    count = CHANGED // 10 if name == "configuration" else CHANGED
    in_a_loop(name, kept + [changed(chance, chance.choice(kept)) for _ in range(count)])
