"""What one look at a member's figures shows: nothing of a healthy one, and which of the four else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.agent.rates.signs import MOST_MARKS, Look, Signs

STEP = 0.2


def looks(seconds: float, at: Callable[[float], Look], since: float = 0.0) -> Iterable[Look]:
    """Yield a look each 0.2 s: what ``at`` says of it, ``since`` seconds on the clock after 100."""
    for step in range(round(seconds / STEP)):
        t = since + (step + 1) * STEP
        yield replace(at(t), now=100 + t)


def healthy(t: float) -> Look:
    """Return 1000 records a second, 3 ms late by clocks that differ by an hour, written at once."""
    seq = int(1000 * t)
    return Look(0, seq, seq - 20, 3_600_003.0, 100 + t, delay_s=0.002, cpu_s=0.1 * t)


def causes(signs: Signs, some: Iterable[Look]) -> list[str | None]:
    return [signs.cause(look) for look in some]


def late_by(t: float, seconds: float) -> Look:
    return replace(healthy(t), latency_ms=3_600_003.0 + 1000 * seconds)


def test_a_healthy_member_shows_nothing() -> None:
    signs = Signs()
    assert set(causes(signs, looks(200, healthy))) == {None}
    assert not signs.late


@given(st.lists(st.floats(0, 150), min_size=40, max_size=40), st.lists(st.floats(0, 0.09), min_size=40, max_size=40))
def test_nor_do_jitter_and_a_busy_machine(jitter_ms: list[float], delays: list[float]) -> None:
    signs = Signs()

    def at(t: float) -> Look:
        step = round(t / STEP) - 1
        return replace(healthy(t), latency_ms=50 + jitter_ms[step], delay_s=delays[step])

    assert set(causes(signs, looks(8, at))) == {None}


def test_before_anything_has_come_there_is_nothing_to_be_late() -> None:
    assert set(causes(Signs(), looks(10, lambda t: Look(0)))) == {None}


def test_data_that_becomes_later_and_later_shows_the_link_after_the_parent_could_have_spoken() -> None:
    signs = Signs()
    causes(signs, looks(5, healthy))
    found = causes(signs, looks(5, lambda t: late_by(t, (t - 5) * 5 / 8), since=5))
    first = found.index("link")
    assert 1.6 <= (first + 1) * STEP <= 2.2
    assert set(found[:first]) == {None}
    assert set(found[first:]) == {"link"}
    assert signs.late
    assert signs.late_s == pytest.approx(5 * 5 / 8)


def test_children_are_told_before_the_member_itself_counts_as_behind() -> None:
    signs = Signs()
    causes(signs, looks(5, healthy))
    causes(signs, looks(1, lambda t: late_by(t, min(t - 5, 0.45)), since=5))
    assert signs.late
    assert set(causes(signs, looks(5, lambda t: late_by(t, 0.45), since=6))) == {None}
    causes(signs, looks(1, lambda t: late_by(t, 0.1), since=11))
    assert not signs.late


def test_a_parent_that_is_late_itself_is_what_is_behind() -> None:
    signs = Signs()
    causes(signs, looks(5, healthy))
    found = causes(signs, looks(5, lambda t: replace(late_by(t, t - 5), parent_late=True), since=5))
    assert set(found[3:]) == {"parent"}


def test_its_word_alone_is_nothing_as_long_as_our_data_is_in_time() -> None:
    assert set(causes(Signs(), looks(10, lambda t: replace(healthy(t), parent_late=True)))) == {None}


def test_a_stalled_parent_is_behind() -> None:
    assert set(causes(Signs(), looks(2, lambda t: replace(healthy(t), stalled=True)))) == {"parent"}


def test_it_is_the_link_until_data_is_in_time_again() -> None:
    signs = Signs()
    causes(signs, looks(5, healthy))
    causes(signs, looks(5, lambda t: late_by(t, t - 5), since=5))
    assert set(causes(signs, looks(2, lambda t: late_by(t, 0.3), since=10))) == {"link"}
    assert set(causes(signs, looks(2, healthy, since=12))) == {None}


def test_losses_count_like_lateness_for_a_while() -> None:
    signs = Signs()
    causes(signs, looks(5, healthy))
    found = causes(signs, looks(8, lambda t: replace(healthy(t), lost=int(min(t, 9) * 10)), since=5))
    assert found[10] == "link"
    assert found[-1] is None


def test_a_clock_that_was_set_is_no_lateness() -> None:
    signs = Signs()
    causes(signs, looks(5, healthy))
    assert set(causes(signs, looks(10, lambda t: late_by(t, 86_400), since=5))) == {None}
    assert set(causes(signs, looks(10, healthy, since=15))) == {None}


def test_a_step_that_time_could_explain_is_forgotten_after_two_minutes() -> None:
    signs = Signs()
    causes(signs, looks(5, healthy))
    found = causes(signs, looks(130, lambda t: late_by(t, 1.0), since=7))
    assert found[20] == "link"
    assert found[-1] is None


def test_a_stream_that_pauses_is_not_late() -> None:
    signs = Signs()
    causes(signs, looks(5, healthy))
    causes(signs, looks(5, lambda t: late_by(t, t - 5), since=5))
    found = causes(signs, looks(5, lambda t: replace(late_by(t, 5), arrived_at=110.0), since=10))
    assert found[0] == "link"
    assert found[-1] is None


def test_an_output_that_lacks_what_came_long_ago_is_behind() -> None:
    signs = Signs()
    causes(signs, looks(5, healthy))
    found = causes(signs, looks(10, lambda t: replace(healthy(t), written=int(5000 + 375 * (t - 5))), since=5))
    first = found.index("output")
    assert 3.0 <= first * STEP <= 3.6  # 5/8 of each second more waits for it
    assert set(found[first:]) == {"output"}
    assert signs.waiting_s == pytest.approx(10 * 5 / 8, abs=0.3)
    assert set(causes(signs, looks(1, healthy, since=15))) == {None}
    assert signs.waiting_s <= STEP


def test_an_output_that_stands_still_is_behind_however_long() -> None:
    signs = Signs()
    found = causes(signs, looks(MOST_MARKS * STEP + 60, lambda t: replace(healthy(t), written=0)))
    assert found[-1] == "output"
    assert signs.waiting_s == pytest.approx(MOST_MARKS * STEP + 60, abs=0.5)


def test_an_output_that_reads_in_bursts_is_not_behind() -> None:
    found = causes(Signs(), looks(20, lambda t: replace(healthy(t), written=int(t // 1.5 * 1500))))
    assert set(found) == {None}


def test_records_that_were_overwritten_before_they_were_written_show_the_output() -> None:
    assert "output" in causes(Signs(), looks(2, lambda t: replace(healthy(t), output_lost=int(t * 10))))


def test_a_relay_has_no_output_to_be_behind() -> None:
    assert set(causes(Signs(), looks(5, lambda t: replace(healthy(t), written=None, output_lost=int(t))))) == {None}


def test_a_program_that_is_stopped_again_and_again_is_behind() -> None:
    found = causes(Signs(), (replace(healthy(t), now=100 + t, delay_s=0.5) for t in (0.8 * n for n in range(1, 11))))
    assert found[:4] == [None] * 4
    assert found[-1] == "processor"


@pytest.mark.parametrize("sign", ["delays", "computing", "unread"])
def test_data_that_is_late_may_be_so_because_nobody_reads_it(sign: str) -> None:
    def at(t: float) -> Look:
        look = late_by(t, t - 5)
        if sign == "delays":
            return replace(look, delay_s=0.15 if round(t / STEP) % 3 else 0.0)
        return replace(look, cpu_s=t) if sign == "computing" else replace(look, unread=1 << 20)

    signs = Signs()
    causes(signs, looks(5, healthy))
    assert causes(signs, looks(6, at, since=5))[-1] == "processor"


def test_the_same_is_nothing_while_data_is_in_time() -> None:
    at = looks(
        10, lambda t: replace(healthy(t), cpu_s=t, unread=1 << 20, delay_s=0.15 if round(t / STEP) % 5 == 0 else 0)
    )
    assert set(causes(Signs(), at)) == {None}
