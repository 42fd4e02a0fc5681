"""A child that ends at its start is started less and less often; one that has lived is started again soon."""

from __future__ import annotations

from engine.supervisor.respawn import Respawn


def test_the_waits_double_up_to_the_longest() -> None:
    respawn = Respawn(0.5, 3.0, 60.0)
    assert respawn.due(0.0)
    waits = []
    for now in range(100, 600, 100):
        respawn.ended(now, 60.0)
        waits.append(respawn.delay_s)
        assert not respawn.due(now + respawn.delay_s - 0.1)
        assert respawn.due(now + respawn.delay_s)
    assert waits == [1.0, 2.0, 3.0, 3.0, 3.0]


def test_a_start_that_fails_counts_as_a_short_life() -> None:
    respawn = Respawn(0.5, 3.0, 60.0)
    respawn.failed(10.0)
    assert (respawn.delay_s, respawn.due(10.9), respawn.due(11.0)) == (1.0, False, True)


def test_after_a_long_life_the_waits_begin_anew() -> None:
    respawn = Respawn(0.5, 3.0, 60.0)
    respawn.failed(0.0)
    respawn.ended(100.0, 60.1)
    assert (respawn.delay_s, respawn.due(100.4), respawn.due(100.5)) == (0.5, False, True)
