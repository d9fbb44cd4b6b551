"""Which defects are told, and when there are too many."""

from __future__ import annotations

from overlaycast.agent.defects import AGAIN_S, MOST_LINES, TOO_MANY, WITHIN_S, Defects


def test_a_line_is_told_once_a_minute() -> None:
    defects = Defects()
    assert defects.told("a", 5.0)
    assert not defects.told("a", 5.0 + AGAIN_S - 1)
    assert defects.told("b", 6.0)
    assert defects.told("a", 5.0 + AGAIN_S)


def test_so_many_within_so_long_are_too_many() -> None:
    fast, slow = Defects(), Defects()
    for number in range(TOO_MANY):
        assert not fast.too_many
        fast.told("a", number * WITHIN_S / TOO_MANY)
        slow.told("a", number * WITHIN_S / TOO_MANY * 1.1)
    assert fast.too_many
    assert not slow.too_many
    fast.told("a", 1000.0)
    assert not fast.too_many


def test_lines_that_differ_each_time_are_not_kept_for_ever() -> None:
    defects = Defects()
    for number in range(10 * MOST_LINES):
        assert defects.told(f"line {number}", float(number))
    assert len(defects._told) == MOST_LINES
