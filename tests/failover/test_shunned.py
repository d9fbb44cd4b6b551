"""A parent that lies is dialled again after longer and longer pauses."""

from __future__ import annotations

from overlaycast.failover.shunned import FORGIVEN_S, LONGEST_S, Shunned


def test_each_pause_is_twice_as_long_as_the_one_before() -> None:
    shunned = Shunned()
    assert not shunned.bans(1, 0.0)
    pauses = [shunned.add(1, "refused", 0.0) for _ in range(11)]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, LONGEST_S, LONGEST_S]
    assert shunned.bans(1, LONGEST_S - 0.1)
    assert not shunned.bans(1, LONGEST_S)
    assert shunned.add(2, "refused", 0.0) == 1


def test_what_was_long_ago_is_forgotten() -> None:
    shunned = Shunned()
    shunned.add(1, "refused", 0.0)
    assert shunned.add(1, "refused", 100.0) == 2
    assert shunned.add(1, "refused", 103.0 + FORGIVEN_S) == 1


def test_a_damaged_chunk_is_a_longer_pause_and_another_reason() -> None:
    shunned = Shunned()
    assert shunned.add(1, "damaged", 0.0) == 60
    assert shunned.bans(1, 59.9) == "damaged"
    assert shunned.bans(1, 60.0) is None
    assert shunned.add(1, "refused", 60.0) == 120  # whatever it was: it is the second time
    assert shunned.bans(1, 61.0) == "refused"
    assert [shunned.add(1, "damaged", 180.0), shunned.add(1, "damaged", 420.0)] == [240, LONGEST_S]
    assert shunned.add(2, "refused", 0.0) == 1
    assert shunned.add(2, "damaged", 1.0) == 60
