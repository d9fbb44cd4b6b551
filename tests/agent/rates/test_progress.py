"""How far a file is: percent, rate and time left are true, whatever the pace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.agent.rates.progress import FileProgress, clock


def test_a_steady_file_is_told_as_it_is() -> None:
    progress = FileProgress(1000, 0, 0.0)
    for second in range(1, 5):
        far = progress.look(second * 100, float(second))
    assert (far.percent, far.words()) == (40, "40 %  0.00 Mbit/s  0:06 left")
    assert far.left_s == pytest.approx(6.0)


def test_what_was_there_before_says_nothing_about_the_rate() -> None:
    progress = FileProgress(1000, 900, 0.0)
    far = progress.look(910, 1.0)
    assert far.left_s == pytest.approx(9.0)


def test_a_file_that_stands_still_has_no_end() -> None:
    assert FileProgress(1000, 0, 0.0).look(0, 1.0).words() == "0 %  0.00 Mbit/s"


@given(st.integers(0, 50), st.lists(st.integers(0, 30), max_size=20))
def test_each_tenth_is_news_once(kept: int, steps: list[int]) -> None:
    progress, done, told = FileProgress(100, kept, 0.0), kept, 0
    for second, step in enumerate(steps, 1):
        done = min(100, done + step)
        far = progress.look(done, float(second))
        assert (far.percent == 100) == (done == 100)
        told += progress.is_news(far)
        assert not progress.is_news(far)
    assert told <= done // 10 - kept // 10


def test_an_empty_file_is_complete() -> None:
    assert FileProgress(0, 0, 0.0).look(0, 1.0).percent == 100


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "0:01"), (59, "0:59"), (61, "1:01"), (3723, "1:02:03")])
def test_times_for_people(seconds: float, words: str) -> None:
    assert clock(seconds) == words


def test_two_looks_at_one_moment_keep_the_rate() -> None:
    progress = FileProgress(1000, 0, 0.0)
    before = progress.look(100, 1.0)
    after = progress.look(200, 1.0)
    assert after.rate_mbit == before.rate_mbit
    assert after.percent == 20
