"""One endpoint's lane: a job waits for every earlier one of its channels, and for nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.interfaces import Job
from engine.webhooks.delivery.lane import Lane
from tests.webhooks.making import plain_job


def lane_of(*jobs: Job) -> Lane:
    lane = Lane(10)
    for job in jobs:
        lane.add(job)
    return lane


def handed_out(lane: Lane) -> list[str]:
    jobs = []
    while job := lane.next():
        jobs.append(job.id)
    return jobs


def test_disjoint_channels_go_side_by_side_and_shared_ones_wait() -> None:
    lane = lane_of(plain_job("1", "a", "b"), plain_job("2", "b", "c"), plain_job("3", "d"), plain_job("4", "c"))
    assert handed_out(lane) == ["1", "3"]
    assert lane.sending == 2
    lane.remove("1")
    assert handed_out(lane) == ["2"]
    lane.remove("2")
    assert handed_out(lane) == ["4"]


def test_a_delayed_job_holds_its_channels_but_no_slot() -> None:
    lane = lane_of(plain_job("1", "a"), plain_job("2", "a"), plain_job("3", "b"))
    assert handed_out(lane) == ["1", "3"]
    lane.delay("1")
    assert lane.sending == 1
    assert handed_out(lane) == []
    again = plain_job("1", "a")
    again.attempt = 1
    lane.make_due(again)
    assert lane.next() is again
    lane.remove("1")
    assert handed_out(lane) == ["2"]


def test_a_job_that_was_delayed_before_this_lane_began_holds_its_channels() -> None:
    lane = Lane(10)
    lane.add(plain_job("1", "a"), delayed=True)
    lane.add(plain_job("2", "a"))
    assert handed_out(lane) == []
    lane.make_due(plain_job("1", "a"))
    assert handed_out(lane) == ["1"]


def test_what_was_put_back_comes_first_again() -> None:
    lane = lane_of(plain_job("1", "a"), plain_job("2", "b"))
    assert handed_out(lane) == ["1", "2"]
    lane.put_back("2")
    lane.put_back("1")
    assert lane.sending == 0
    assert handed_out(lane) == ["1", "2"]


def test_room_counts_everything_that_is_not_done() -> None:
    lane = lane_of(*(plain_job(str(n), "a") for n in range(8)))
    assert lane.room == 2
    lane.next()
    lane.delay("0")
    assert lane.room == 2
    lane.make_due(plain_job("0", "a"))
    lane.next()
    lane.remove("0")
    assert lane.room == 3


def test_a_channel_named_twice_in_a_job_is_one_channel() -> None:
    lane = lane_of(plain_job("1", "a", "a"), plain_job("2", "a"))
    assert handed_out(lane) == ["1"]
    lane.remove("1")
    assert handed_out(lane) == ["2"]


CHANNELS = st.lists(st.sampled_from("abcd"), max_size=3)


@given(
    st.lists(CHANNELS, max_size=12), st.lists(st.tuples(st.sampled_from(["done", "park", "back"]), st.integers(0, 9)))
)
def test_any_history_keeps_the_order_and_forgets_nothing(jobs: list[list[str]], steps: list[tuple[str, int]]) -> None:
    lane = Lane(100)
    waiting = {f"{n:02}": frozenset(channels) for n, channels in enumerate(jobs)}
    for job_id, channels in waiting.items():
        lane.add(Job(job_id, "a", "e", "{}", tuple(channels), 0))
    sending: list[str] = []
    delayed: list[str] = []

    def next_ones() -> None:
        """The model: a job may go when no earlier one that is not done shares a channel with it."""
        blocked: set[str] = set()
        expected = []
        for job_id, channels in waiting.items():
            if not channels & blocked and job_id not in sending and job_id not in delayed:
                expected.append(job_id)
            blocked |= channels
        assert handed_out(lane) == expected
        sending.extend(expected)

    next_ones()
    for step, index in [*steps, *[("done", 0)] * 30]:
        if delayed and not sending:
            job_id = delayed.pop(0)
            lane.make_due(Job(job_id, "a", "e", "{}", tuple(waiting[job_id]), 0))
        elif index < len(sending):
            job_id = sending.pop(index)
            if step == "done":
                lane.remove(job_id)
                del waiting[job_id]
            elif step == "park":
                lane.delay(job_id)
                delayed.append(job_id)
            else:
                lane.put_back(job_id)
        next_ones()
        assert lane.sending == len(sending)
    assert len(lane) == 0
