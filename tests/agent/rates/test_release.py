"""What goes at once: the release of records that are behind, and shares of an uplink. In virtual time."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from overlaycast.agent.rates.release import BURST_S, CATCH_UP, LATEST_S, Release
from overlaycast.agent.rates.upload import share_of

STEP = 0.0079
"""Of 8 Mbit/s in records of 7896 bytes."""


def played(release: Release, stalls: dict[int, float], records: int = 400) -> list[tuple[float, float]]:
    """Return when each record was due and when it went; before record n the source was held up for ``stalls[n]``."""
    now, gone = 0.0, []
    for n in range(records):
        now += stalls.get(n, 0.0)
        now += release.wait_s(n * STEP, now)
        gone.append((n * STEP, now))
    return gone


def most_within(gone: list[tuple[float, float]], seconds: float) -> int:
    times = [at for _, at in gone]
    return max(sum(at <= other <= at + seconds for other in times) for at in times)


def test_on_time_is_on_schedule() -> None:
    assert all(abs(at - due) < 1e-9 for due, at in played(Release(live=False), {}))


def test_a_burst_after_a_stop_is_spread() -> None:
    """0.2 s behind: 25 records are due at once. They must not go at once, and the delay must be made up for."""
    gone = played(Release(live=False), {100: 0.2})
    assert most_within(gone, 0.0) <= 1 + BURST_S * CATCH_UP / STEP
    assert most_within(gone, 0.05) <= 2 + (0.05 + BURST_S) * CATCH_UP / STEP
    assert abs(gone[-1][1] - gone[-1][0]) < 1e-9


def test_a_long_stop_moves_the_schedule() -> None:
    gone = played(Release(live=False), {100: 5.0})
    assert most_within(gone, 0.05) <= 2 + (0.05 + BURST_S) * CATCH_UP / STEP
    assert gone[-1][1] - gone[-1][0] > 5.0 - LATEST_S


def test_live_input_never_exceeds_its_rate() -> None:
    """A camera's burst goes at the rate that was asked for; a pause of the camera earns it nothing."""
    gone = played(Release(live=True), {100: 0.2, 200: 0.05})
    assert most_within(gone, 0.1) <= 2 + 0.1 / STEP


def test_as_fast_as_it_comes() -> None:
    release = Release(live=False)
    assert [release.wait_s(0.0, at) for at in (1.0, 1.0, 7.0)] == [0.0, 0.0, 0.0]


@given(st.dictionaries(st.integers(0, 399), st.floats(0, 1), max_size=20), st.booleans())
def test_whatever_happens_bursts_are_bounded(stalls: dict[int, float], live: bool) -> None:
    gone = played(Release(live), stalls)
    assert all(later >= earlier for (_, earlier), (_, later) in itertools.pairwise(gone))
    assert most_within(gone, 0.05) <= 2 + (0.05 + BURST_S) * CATCH_UP / STEP


@given(st.floats(0.5, 10_000), st.integers(1, 64))
def test_shares_do_not_exceed_the_upload(upload_mbit: float, children: int) -> None:
    assert children * share_of(upload_mbit, children) <= upload_mbit * 125_000
