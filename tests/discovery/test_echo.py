"""The echo probe's arithmetic, and that no member can look faster than it is by answering something else."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.discovery.echo import (
    BRIEF_TRIES,
    FIRST_SMALL,
    LEAST_TRIES,
    LONGEST_S,
    MOST_BYTES,
    MOST_REPLIES,
    ON_THE_WIRE,
    SMALL_BYTES,
    TRAINS,
    EchoProbe,
    Performance,
)
from overlaycast.wire.messages import EchoReply, EchoRequest

SHORT = TRAINS[0][1]


def exact(size: int) -> float:
    return 0.0


def run(
    probe: EchoProbe, mbit: float, rtt: float, late: Callable[[int], float] = exact, begin: float = 50.0
) -> list[EchoRequest]:
    """Answer everything over a link of this rate each way, where a train moves like one: down while up.

    ``late`` gives seconds on top of it, for a step of so many bytes in all.
    """
    now, sent = begin, []
    each = 8e-6 * ON_THE_WIRE / mbit
    while requests := probe.requests(now):
        down = now + rtt + late(sum(len(request.payload) for request in requests))
        for request in requests:
            size = len(request.payload)
            # small echoes fit into one frame, which the link hardly notices
            bytes_s = size * each if size > SMALL_BYTES else 0.0
            down += bytes_s
            done = probe.receive(EchoReply(nonce=request.nonce, payload=request.payload), down + bytes_s)
        assert done
        now = down + bytes_s
        sent += requests
    return sent


@given(st.floats(0.0005, 2), st.floats(0.1, 1e4))
def test_the_figures_are_those_of_the_link(rtt: float, mbit: float) -> None:
    probe = EchoProbe(random.Random(1))
    requests = run(probe, mbit, rtt)
    found = probe.result()
    assert found.rtt_ms == pytest.approx(rtt * 1000)
    if 60 * SHORT / mbit / 1e6 > LONGEST_S:  # so slow, or so far, that there is time for one train only
        assert found.rate_mbit is None or found.rate_mbit == pytest.approx(mbit, rel=0.01)
    elif rtt < LONGEST_S / 10:
        assert found.rate_mbit == pytest.approx(mbit, rel=0.01)
    assert len({request.nonce for request in requests}) == len(requests)


@given(st.integers(0, 1 << 32), st.floats(0.001, 0.2), st.floats(1, 1000), st.floats(0.0001, 0.2))
def test_it_ends_and_sends_no_more_than_it_says(seed: int, rtt: float, mbit: float, worst: float) -> None:
    """Whatever comes late, and by however much."""
    chance = random.Random(seed)
    probe = EchoProbe(random.Random(1))
    begin = 50.0
    requests = run(probe, mbit, rtt, lambda _: chance.random() * worst, begin)
    assert sum(len(request.payload) for request in requests) <= MOST_BYTES
    assert len(requests) <= MOST_REPLIES
    assert not probe.heavy
    assert probe.requests(1e9) == []


@pytest.mark.parametrize("mbit", [2, 20, 100])
@pytest.mark.parametrize("rtt", [0.002, 0.05, 0.15])
def test_a_window_that_is_still_small_is_not_taken_for_a_thin_link(rtt: float, mbit: float) -> None:
    """The first train needs more round trips than one: slow start (RFC 5681). Those after it do not."""
    probe = EchoProbe(random.Random(1))
    trains: list[int] = []

    def slow_start(size: int) -> float:
        trains.extend([size] * (size > SMALL_BYTES))
        return 2 * rtt if trains == [size] else 0.0

    run(probe, mbit, rtt, slow_start)
    assert probe.result().rate_mbit == pytest.approx(mbit, rel=0.01)
    assert trains == [SHORT + SMALL_BYTES] * LEAST_TRIES


def test_a_busy_host_is_measured_again_rather_than_believed() -> None:
    """20 Mbit/s, 14 ms, and a host so busy that answers come late, half of them by up to 30 ms."""
    found = []
    for seed in range(200):
        chance = random.Random(seed)
        probe = EchoProbe(random.Random(1))
        run(probe, 20, 0.014, lambda _, chance=chance: chance.random() * 0.03 * (chance.random() < 0.5))  # type: ignore[misc]
        found.append(probe.result().rate_mbit)
    known = sorted(rate for rate in found if rate is not None)
    assert len(known) == len(found)
    assert 17 < known[len(known) // 20] < known[-len(known) // 20] < 23, "nine in ten are near"
    assert known[0] > 10
    assert known[-1] < 40


def test_times_that_differ_by_more_than_the_bytes_take_tell_nothing() -> None:
    """A link that is too fast beside such noise is not taken for a thin one."""
    for seed in range(50):
        chance = random.Random(seed)
        probe = EchoProbe(random.Random(1))
        run(probe, 10_000, 0.1, lambda _, chance=chance: chance.random() * 0.02)  # type: ignore[misc]
        rate = probe.result().rate_mbit
        assert rate is None or rate > 40


def test_a_thin_link_is_measured_well_and_carries_little() -> None:
    probe = EchoProbe(random.Random(1))
    requests = run(probe, 20, 0.014)
    found = probe.result()
    assert found.rtt_ms == pytest.approx(14, rel=0.01)
    assert found.rate_mbit == pytest.approx(20, rel=0.01)
    assert sum(len(request.payload) for request in requests) < (LEAST_TRIES + 0.1) * SHORT


def test_so_thin_a_link_that_one_train_takes_the_time_is_measured_by_that() -> None:
    probe = EchoProbe(random.Random(1))
    run(probe, 0.1, 0.05)
    assert probe.result().rate_mbit == pytest.approx(0.1, rel=0.01)


def test_a_fast_link_far_away_is_not_taken_for_a_thin_one() -> None:
    probe = EchoProbe(random.Random(1))
    run(probe, 1000, 0.1)
    assert probe.result().rate_mbit == pytest.approx(1000, rel=0.01)


def test_only_the_whole_right_answer_counts() -> None:
    probe = EchoProbe(random.Random(1))
    [request] = probe.requests(0.0)
    assert not probe.receive(EchoReply(nonce=request.nonce + 1, payload=request.payload), 1.0)
    assert not probe.receive(EchoReply(nonce=request.nonce, payload=request.payload[:-1]), 1.0)
    assert probe.result() == Performance()
    assert probe.receive(EchoReply(nonce=request.nonce, payload=request.payload), 2.0)
    assert not probe.receive(EchoReply(nonce=request.nonce, payload=request.payload), 3.0)
    run(probe, 20, 3.0)
    assert probe.result().rtt_ms == 2000


def test_who_returns_no_train_does_not_look_fast() -> None:
    """Not asked in time, too slow to return one, or not willing."""
    probe = EchoProbe(random.Random(1))
    for now in range(FIRST_SMALL):
        assert not probe.heavy
        [request] = probe.requests(now)
        assert probe.receive(EchoReply(nonce=request.nonce, payload=request.payload), now + 0.5)
    assert probe.heavy
    small, train = probe.requests(9.0)
    assert (len(small.payload), len(train.payload)) == (SMALL_BYTES, SHORT)
    assert not probe.receive(EchoReply(nonce=small.nonce, payload=small.payload), 9.5)
    assert probe.result() == Performance()
    assert probe.receive(EchoReply(nonce=train.nonce, payload=train.payload), 9.8)
    found = probe.result()
    assert found.rtt_ms == pytest.approx(500)
    assert found.rate_mbit is not None


def test_a_train_counts_when_all_of_it_is_back_in_whatever_order() -> None:
    probe = EchoProbe(random.Random(1))
    now, worse = 0.0, 0.0
    while len(requests := probe.requests(now)) < 3:  # none agrees with another
        worse += 0.001
        for request in requests:
            done = probe.receive(EchoReply(nonce=request.nonce, payload=request.payload), now + 0.01 + worse)
        assert done
        now += 0.1
    small, first, second = (EchoReply(nonce=request.nonce, payload=request.payload) for request in requests)
    assert not probe.receive(second, now + 0.3)
    assert not probe.receive(small, now + 0.4)
    assert probe.receive(first, now + 0.5)
    assert len(probe.requests(now)) == 3, "nothing is believed yet"


def test_a_train_that_shows_what_a_neighbour_has_shown_is_believed_at_once() -> None:
    probe = EchoProbe(random.Random(1))
    probe.expected_mbit = 19
    requests = run(probe, 20, 0.014)
    assert probe.result().rate_mbit == pytest.approx(20, rel=0.01)
    assert sum(len(request.payload) for request in requests) < 1.1 * SHORT


@pytest.mark.parametrize("expected_mbit", [15.0, 30.0])
def test_one_that_shows_something_else_is_measured_as_if_nothing_were_known(expected_mbit: float) -> None:
    probe = EchoProbe(random.Random(1))
    probe.expected_mbit = expected_mbit
    requests = run(probe, 20, 0.014)
    assert probe.result().rate_mbit == pytest.approx(20, rel=0.01)
    tries = LEAST_TRIES if expected_mbit < 20 else BRIEF_TRIES
    assert round(sum(len(request.payload) for request in requests) / SHORT) == tries


def test_two_late_trains_that_agree_are_not_believed_before_a_neighbour() -> None:
    probe = EchoProbe(random.Random(1))
    probe.expected_mbit = 20
    trains: list[int] = []

    def busy(size: int) -> float:
        trains.extend([size] * (size > SMALL_BYTES))
        return 0.02 if size > SMALL_BYTES and len(trains) < 5 else 0.0

    run(probe, 20, 0.014, busy)
    assert probe.result().rate_mbit == pytest.approx(20, rel=0.01)
    assert len(trains) == 5


@given(st.floats(0, 0.1), st.floats(-0.1, 1))
def test_a_member_that_says_wrong_times_seems_no_faster_by_that(each_s: float, back_s: float) -> None:
    """Whatever it says of when it had what."""
    honest, liar = EchoProbe(random.Random(1)), EchoProbe(random.Random(1))
    run(honest, 20, 0.014)
    now = 50.0
    each = 8e-6 * ON_THE_WIRE / 20
    said = 1e6
    while requests := liar.requests(now):
        down = now + 0.014
        for request in requests:
            size = len(request.payload)
            bytes_s = size * each if size > SMALL_BYTES else 0.0
            down += bytes_s
            said = max(0.0, said + each_s + back_s)
            reply = EchoReply(nonce=request.nonce, payload=request.payload, at_us=int(said * 1e6))
            liar.receive(reply, down + bytes_s)
        now = down + bytes_s
    found, true = liar.result().rate_mbit, honest.result().rate_mbit
    assert found is not None
    assert true is not None
    assert found <= true * 1.0001
