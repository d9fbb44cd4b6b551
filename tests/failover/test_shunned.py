"""A parent that lies is dialled again after longer and longer pauses."""

from __future__ import annotations

from overlaycast.failover.shunned import FORGIVEN_S, LONGEST_S, Shunned


def test_each_pause_is_twice_as_long_as_the_one_before() -> None:
    shunned = Shunned()
    assert not shunned.bans(1, 0.0)
    pauses = [shunned.add(1, 0.0) for _ in range(11)]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, LONGEST_S, LONGEST_S]
    assert shunned.bans(1, LONGEST_S - 0.1)
    assert not shunned.bans(1, LONGEST_S)
    assert shunned.add(2, 0.0) == 1


def test_what_was_long_ago_is_forgotten() -> None:
    shunned = Shunned()
    shunned.add(1, 0.0)
    assert shunned.add(1, 100.0) == 2
    assert shunned.add(1, 103.0 + FORGIVEN_S) == 1
