"""The log of one host's workers: one order, readers that sleep or fall behind, writers that are stopped or killed."""

from __future__ import annotations

import mmap
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from engine._fast.shared_log import SharedLog, log_bytes

TOPIC = b"t:app/room"
PLACES, ARENA = 1024, 65536


class LogOfWorkers:
    """A log of some workers, and its descriptors."""

    def __init__(self, workers: int, places: int, arena_bytes: int) -> None:
        self.sizes = places, arena_bytes
        self.memory = os.memfd_create("test-log")
        os.ftruncate(self.memory, log_bytes(workers, places, arena_bytes))
        self.wakers = [os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK) for _ in range(workers)]

    def worker(self, number: int) -> SharedLog:
        log = SharedLog(self.memory, self.wakers, number, *self.sizes)
        log.join()
        return log

    def woken(self, number: int) -> bool:
        try:
            return os.eventfd_read(self.wakers[number]) > 0
        except BlockingIOError:
            return False


@contextmanager
def made(workers: int, places: int = PLACES, arena_bytes: int = ARENA) -> Iterator[LogOfWorkers]:
    log = LogOfWorkers(workers, places, arena_bytes)
    try:
        yield log
    finally:
        for fd in (log.memory, *log.wakers):
            os.close(fd)


def test_every_worker_reads_everything_in_one_order() -> None:
    with made(3) as log:
        workers = [log.worker(n) for n in range(3)]
        said = []
        for n in range(5000):
            message = b"%d" % n * (n % 7)
            workers[n % 3].append(TOPIC, message)
            said.append((TOPIC, message))
            if n % 100 == 99:
                for worker in workers:
                    assert [*worker.take(60), *worker.take(60)] == said
                    assert worker.take(1) == []
                said = []
        assert [worker.missed for worker in workers] == [0, 0, 0]


def test_a_sleeper_is_woken_once_and_only_by_a_topic_that_it_wants() -> None:
    with made(2) as log:
        writer, reader = log.worker(0), log.worker(1)
        reader.want(TOPIC)
        assert reader.sleep()
        writer.append(b"other", b"1")
        assert not log.woken(1)
        writer.append(TOPIC, b"2")
        writer.append(TOPIC, b"3")
        assert os.eventfd_read(log.wakers[1]) == 1
        assert not reader.sleep(), "there is something to read"
        assert [message for _, message in reader.take(10)] == [b"1", b"2", b"3"]
        assert reader.sleep()
        reader.unwant(TOPIC)
        writer.append(TOPIC, b"4")
        assert not log.woken(1)


def test_a_topic_is_wanted_until_its_last_namesake_is_not() -> None:
    with made(2) as log:
        writer, reader = log.worker(0), log.worker(1)
        # Among so many some share a hash.
        topics = [b"topic-%d" % n for n in range(10_000)]
        for topic in topics:
            reader.want(topic)
        for topic in topics[1:]:
            reader.unwant(topic)
        assert reader.sleep()
        writer.append(topics[0], b"")
        assert log.woken(1)


@pytest.mark.parametrize("size", [0, 3000], ids=["many", "large"])
def test_who_wants_nothing_is_woken_before_it_falls_behind(size: int) -> None:
    with made(2) as log:
        writer, idle = log.worker(0), log.worker(1)
        assert idle.sleep()
        for _ in range(5000):
            writer.append(TOPIC, bytes(size))
            if log.woken(1):
                while idle.take(64):
                    pass
                assert idle.sleep()
        assert idle.missed == 0


def test_a_reader_that_is_left_behind_costs_nobody_anything_and_knows_what_it_missed() -> None:
    with made(2) as log:
        writer, slow = log.worker(0), log.worker(1)
        for n in range(10 * PLACES + 5):
            writer.append(TOPIC, b"%d" % n)
            writer.take(1)
        assert writer.missed == 0
        read = slow.take(20 * PLACES)
        assert slow.missed + len(read) == 10 * PLACES + 5
        writer.append(TOPIC, b"next")
        assert slow.take(2) == [(TOPIC, b"next")]


def test_what_was_written_over_is_passed_over_and_the_rest_read() -> None:
    with made(2) as log:
        writer, slow = log.worker(0), log.worker(1)
        slow.append(TOPIC, b"of another arena")
        for n in range(100):
            writer.append(TOPIC, b"%d" % n + bytes(4000))
        read = [message.rstrip(b"\0") for _, message in slow.take(1000)]
        kept = [b"%d" % n for n in range(100 - (len(read) - 1), 100)]
        assert read == [b"of another arena", *kept] and len(kept) > 10
        assert slow.missed == 100 - len(kept)


def test_a_message_may_fill_a_quarter_of_an_arena() -> None:
    with made(2) as log:
        writer, reader = log.worker(0), log.worker(1)
        longest = ARENA // 4 - 8 - len(TOPIC)
        for n in range(20):
            assert writer.append(TOPIC, bytes([n]) * longest)
            assert reader.take(2) == [(TOPIC, bytes([n]) * longest)]
        assert not writer.append(TOPIC, bytes(longest + 8))
        assert reader.take(1) == []


def test_a_successor_starts_afresh_and_keeps_what_its_predecessor_said() -> None:
    with made(2) as log:
        reader, first = log.worker(0), log.worker(1)
        first.want(TOPIC)
        assert first.sleep()
        first.append(TOPIC, b"last words")
        second = log.worker(1)
        assert second.take(5) == []
        reader.append(TOPIC, b"news")
        assert not log.woken(1), "nobody wants anything there now"
        second.append(TOPIC, b"first words")
        assert [message for _, message in reader.take(5)] == [b"last words", b"news", b"first words"]
        assert [message for _, message in second.take(5)] == [b"news", b"first words"]


def test_a_place_that_was_filled_by_one_who_died_before_counting_it_is_not_lost() -> None:
    with made(3) as log, mmap.mmap(log.memory, 8) as memory:
        writer, reader, dead = (log.worker(n) for n in range(3))
        reader.want(TOPIC)
        dead.append(TOPIC, b"1")
        memory[:] = (writer.end - 1).to_bytes(8, sys.byteorder)
        assert not reader.sleep()
        writer.append(TOPIC, b"2")
        assert [message for _, message in reader.take(5)] == [b"1", b"2"]


WRITER = """
import os, sys
from engine._fast.shared_log import SharedLog
memory, me, count, repeats, places, arena, *wakers = map(int, sys.argv[1:])
log = SharedLog(memory, wakers, me, places, arena)
log.join()
os.nice(19)
before = log.end
print("up", flush=True)
while count and log.end == before:
    pass
n = 0
while not count or n < count:
    log.append(b"t:app/room", b"%d %d " % (me, n) * repeats)
    n += 1
"""


@contextmanager
def _writing(log: LogOfWorkers, number: int, count: int = 0, repeats: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """A process that writes; or, with a count, writes so many as soon as there is a first message."""
    arguments = [log.memory, number, count, repeats, *log.sizes, *log.wakers]
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, *map(str, arguments)],
        stdout=subprocess.PIPE,
        pass_fds=[log.memory, *log.wakers],
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"up\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_writers_that_are_stopped_or_killed_anywhere_hold_nobody_up_and_there_is_one_order() -> None:
    """Two processes write without pause, faster than two readers here can read; each is stopped at random moments."""
    chance = random.Random(1)
    with made(4, places=1 << 14, arena_bytes=1 << 20) as log, ExitStack() as stack:
        readers = [_Follower(log.worker(0)), _Follower(log.worker(1))]
        writers = [stack.enter_context(_writing(log, number)) for number in (2, 3)]
        for n in range(12):
            stopped, other = 2 + n % 2, 3 - n % 2
            writers[stopped - 2].send_signal(signal.SIGSTOP)
            for reader in readers:
                reader.until_more_from(other)
            readers[0].log.append(TOPIC, b"0 %d" % n)
            writers[stopped - 2].send_signal(signal.SIGCONT)
            for reader in readers:
                reader.until_more_from(stopped)
            time.sleep(chance.random() / 1000)  # where in its work the next stop finds it
        for writer in writers:
            writer.kill()
            writer.wait()
        readers[1].log.append(TOPIC, b"1 0")
        for reader in readers:
            reader.until_more_from(1)
    common = set(readers[0].read) & set(readers[1].read)
    one, two = ([message for message in reader.read if message in common] for reader in readers)
    assert one == two and len(common) > 100


def test_of_two_who_write_at_once_none_loses_anything() -> None:
    """Both go for the same places all the time, and there is room for everything."""
    count = 100_000
    with made(4, places=1 << 18, arena_bytes=1 << 22) as log, ExitStack() as stack:
        live, late = _Follower(log.worker(0)), _Follower(log.worker(1))
        writers = [stack.enter_context(_writing(log, number, count)) for number in (2, 3)]
        live.log.append(TOPIC, b"0 0")
        for number in (2, 3):
            live.until_more_from(number)
        for writer in writers:
            assert writer.wait(60) == 0
        for reader in (live, late):
            reader.log.append(TOPIC, b"%d 1" % (reader is late))
        for reader in (live, late):
            reader.until_more_from(1)
    for number in (2, 3):
        assert [n for writer, n in live.read if writer == number] == [*range(count)]
    assert late.read == live.read
    assert (live.log.missed, late.log.missed) == (0, 0)


def test_nothing_is_read_that_is_written_over_meanwhile() -> None:
    """Only a few messages fit in, so the reader is always about to be overtaken."""
    whole, repeats = 0, 3000
    with made(2, places=8, arena_bytes=1 << 17) as log:
        reader = log.worker(0)
        with _writing(log, 1, repeats=repeats):
            # Of our own time: how often the two run side by side on a busy machine says nothing about the log.
            end = time.process_time() + 5
            while (whole < 5000 or not reader.missed) and time.process_time() < end:
                for _, message in reader.take(8):
                    first = message[: message.index(b" ", 2) + 1]
                    assert message == first * repeats
                    whole += 1
        assert whole > 500 and reader.missed


class _Follower:
    """Reads what it can, and checks that each writer's messages come in the order in which it wrote them."""

    def __init__(self, log: SharedLog) -> None:
        self.log = log
        self.read: list[tuple[int, int]] = []
        self._last = {number: -1 for number in range(4)}

    def until_more_from(self, writer: int) -> None:
        before = self._last[writer]
        end = time.monotonic() + 60
        while self._last[writer] == before:
            assert time.monotonic() < end, f"a message of writer {writer}"
            self._take()

    def _take(self) -> None:
        for _, message in self.log.take(2000):
            writer, n = map(int, message.split())
            assert n > self._last[writer]
            self._last[writer] = n
            self.read.append((writer, n))
