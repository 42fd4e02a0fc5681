"""One endpoint's line: a job waits for every earlier one of its channels, and for nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.interfaces import Job
from engine.webhooks.delivery.lane import Line
from tests.webhooks.making import plain_job


def line_of(*jobs: Job) -> Line:
    line = Line(10)
    for job in jobs:
        line.add(job)
    return line


def handed_out(line: Line) -> list[str]:
    jobs = []
    while job := line.next():
        jobs.append(job.id)
    return jobs


def test_disjoint_channels_go_side_by_side_and_shared_ones_wait() -> None:
    line = line_of(plain_job("1", "a", "b"), plain_job("2", "b", "c"), plain_job("3", "d"), plain_job("4", "c"))
    assert handed_out(line) == ["1", "3"]
    assert line.sending == 2
    line.remove("1")
    assert handed_out(line) == ["2"]
    line.remove("2")
    assert handed_out(line) == ["4"]


def test_a_parked_job_holds_its_channels_but_no_slot() -> None:
    line = line_of(plain_job("1", "a"), plain_job("2", "a"), plain_job("3", "b"))
    assert handed_out(line) == ["1", "3"]
    line.park("1")
    assert line.sending == 1
    assert handed_out(line) == []
    again = plain_job("1", "a")
    again.attempt = 1
    line.unpark(again)
    assert line.next() is again
    line.remove("1")
    assert handed_out(line) == ["2"]


def test_a_job_that_was_parked_before_this_line_began_holds_its_channels() -> None:
    line = Line(10)
    line.add(plain_job("1", "a"), parked=True)
    line.add(plain_job("2", "a"))
    assert handed_out(line) == []
    line.unpark(plain_job("1", "a"))
    assert handed_out(line) == ["1"]


def test_what_was_put_back_comes_first_again() -> None:
    line = line_of(plain_job("1", "a"), plain_job("2", "b"))
    assert handed_out(line) == ["1", "2"]
    line.put_back("2")
    line.put_back("1")
    assert line.sending == 0
    assert handed_out(line) == ["1", "2"]


def test_room_counts_everything_that_is_not_done() -> None:
    line = line_of(*(plain_job(str(n), "a") for n in range(8)))
    assert line.room == 2
    line.next()
    line.park("0")
    assert line.room == 2
    line.unpark(plain_job("0", "a"))
    line.next()
    line.remove("0")
    assert line.room == 3


def test_a_channel_named_twice_in_a_job_is_one_channel() -> None:
    line = line_of(plain_job("1", "a", "a"), plain_job("2", "a"))
    assert handed_out(line) == ["1"]
    line.remove("1")
    assert handed_out(line) == ["2"]


CHANNELS = st.lists(st.sampled_from("abcd"), max_size=3)


@given(
    st.lists(CHANNELS, max_size=12), st.lists(st.tuples(st.sampled_from(["done", "park", "back"]), st.integers(0, 9)))
)
def test_any_history_keeps_the_order_and_forgets_nothing(jobs: list[list[str]], steps: list[tuple[str, int]]) -> None:
    line = Line(100)
    waiting = {f"{n:02}": frozenset(channels) for n, channels in enumerate(jobs)}
    for job_id, channels in waiting.items():
        line.add(Job(job_id, "a", "e", "{}", tuple(channels), 0))
    sending: list[str] = []
    parked: list[str] = []

    def next_ones() -> None:
        """The model: a job may go when no earlier one that is not done shares a channel with it."""
        blocked: set[str] = set()
        expected = []
        for job_id, channels in waiting.items():
            if not channels & blocked and job_id not in sending and job_id not in parked:
                expected.append(job_id)
            blocked |= channels
        assert handed_out(line) == expected
        sending.extend(expected)

    next_ones()
    for step, index in [*steps, *[("done", 0)] * 30]:
        if parked and not sending:
            job_id = parked.pop(0)
            line.unpark(Job(job_id, "a", "e", "{}", tuple(waiting[job_id]), 0))
        elif index < len(sending):
            job_id = sending.pop(index)
            if step == "done":
                line.remove(job_id)
                del waiting[job_id]
            elif step == "park":
                line.park(job_id)
                parked.append(job_id)
            else:
                line.put_back(job_id)
        next_ones()
        assert line.sending == len(sending)
    assert len(line) == 0
