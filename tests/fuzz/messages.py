"""Makes what a connection that subscribes may read: events, what scripts tell, answers, and what is nearly one."""

from __future__ import annotations

import random

from engine._fast.frame import text_frame

SIZES = (0, 1, 125, 126, 127, 300, 4000, 5000, 65535, 65536, 70000)
EXCLUDED = (b"", b"", b"1.1", b"2.2", b"9.9", b"\xff.1", b"x" * 255)
TOPICS = (b"a", b"a", b"b", b"", b"nobody", b"a" * 300, b"wake", b"trace")
#: What scripts and other workers tell, and what is none of it.
TOLD = (
    b"",
    b"\x01",
    b"\x01\x00 no frame",
    b"\x01\xff" + bytes(20),
    b"\x02" + bytes(7) + b"\x09\x00\x03ann{}",
    b"\x03" + bytes(7) + b"\x0a\x00\x03ann",
    b"\x04\x00",
    b"\x05" + bytes(7) + b"\x03\x00\x00\x00\x02",
    b"\x07mark",
    b"\x09 rubbish",
)
ANSWERS = (
    b"*3\r\n$11\r\nunsubscribe\r\n$7\r\nrenewed\r\n:0\r\n",
    b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n",
    b"*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n",
    b"*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n",
)
ODD = (
    b"-NOPERM no\r\n",
    b":1\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"*3\r\n+message\r\n$1\r\na\r\n$1\r\nx\r\n",
    b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n:1\r\n",
    b"*3\r\n$7\r\nmessage\r\n:1\r\n$1\r\nx\r\n",
    b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n",
    b"*3\r\n*1\r\n:1\r\n$1\r\na\r\n$1\r\nx\r\n",
    b"*2\r\n$7\r\nmessage\r\n$1\r\na\r\n",
    b"*4\r\n$8\r\npmessage\r\n$1\r\na\r\n$1\r\na\r\n$1\r\nx\r\n",
    b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n",
    b"~3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n",
    b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n=5\r\ntxt:x\r\n",
    b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n,1.5\r\n",
    b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n#t\r\n",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
)


def event(excluded: bytes, text: bytes) -> bytes:
    """Its envelope, with the same time in each run."""
    return b"\x01%b%b%b%b" % (bytes([len(excluded)]), excluded, (1_700_000_000_000_000).to_bytes(8), text_frame(text))


def message(topic: bytes, payload: bytes) -> bytes:
    return b"*3\r\n$7\r\nmessage\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(topic), topic, len(payload), payload)


def made(seed: int) -> tuple[bytes, int]:
    """(what comes, in pieces of how many bytes)."""
    chance = random.Random(seed)
    answers = list(ANSWERS)
    parts = []
    for number in range(chance.randrange(1, 12)):
        match chance.randrange(20):
            case 0 if number > 2:
                parts.append(chance.choice(ODD))
            case 1 | 2 if answers:
                parts.append(answers.pop(0))
            case 3 | 4 | 5:
                parts.append(message(chance.choice(TOPICS), chance.choice(TOLD)))
            case 6:
                kept = b"\x06" + bytes(3) + b"\x01" + number.to_bytes(8) + _event(chance)[1:]
                parts.append(message(chance.choice(TOPICS), kept))
            case 7:
                wrong = bytearray(_event(chance))
                wrong[chance.randrange(min(len(wrong), 24))] ^= 1 << chance.randrange(8)
                parts.append(message(chance.choice(TOPICS), bytes(wrong)))
            case _:
                parts.append(message(chance.choice(TOPICS), _event(chance)))
    data = bytearray(b"".join(parts))
    if chance.randrange(10) == 0:
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data), chance.choice([1, 3, 17, 100, 1000, 4096, 65536]) if len(data) < 20_000 else 4097


def _event(chance: random.Random) -> bytes:
    size = chance.choice(SIZES) if chance.randrange(4) == 0 else chance.randrange(200)
    return event(chance.choice(EXCLUDED), chance.choice(b"xyz").to_bytes() * size)
