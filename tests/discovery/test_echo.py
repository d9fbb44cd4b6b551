"""The echo probe's arithmetic, and that nobody can look faster than he is by answering something else."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.discovery.echo import MOST_BYTES, STEPS, EchoProbe, Performance
from overlaycast.wire.messages import EchoReply, EchoRequest

SHORT_BYTES = sum(count * size for count, size in STEPS)


def run(probe: EchoProbe, bytes_per_s: float, rtt: Callable[[], float]) -> list[EchoRequest]:
    """Answer everything over a link of this rate each way, where a train moves like one: down while up."""
    now, sent = 50.0, []
    while requests := probe.requests(now):
        size = len(requests[0].payload)
        down = now + rtt()
        for request in requests:
            down += size / bytes_per_s
            done = probe.receive(EchoReply(nonce=request.nonce, payload=request.payload), down + size / bytes_per_s)
        assert done
        now = down + size / bytes_per_s
        sent += requests
    return sent


@given(st.floats(0.0005, 2), st.floats(1e4, 1e9))
def test_the_figures_are_those_of_the_link(rtt: float, bytes_per_s: float) -> None:
    probe = EchoProbe(random.Random(1))
    requests = run(probe, bytes_per_s, lambda: rtt)
    found = probe.result()
    true = bytes_per_s * 8 / 1e6
    assert found.rtt_ms is not None
    assert found.rtt_ms == pytest.approx(rtt * 1000 + 64 / bytes_per_s * 1000, rel=1e-3)
    if found.rate_mbit is None:  # faster than can be told beside this round-trip time
        assert 5 * 64 * 1024 / bytes_per_s < rtt * 0.55
    else:
        assert found.rate_mbit == pytest.approx(true, rel=0.02)
    assert len({request.nonce for request in requests}) == len(requests)
    assert sum(len(request.payload) for request in requests) <= MOST_BYTES


@given(st.lists(st.floats(0, 0.1), min_size=10, max_size=10))
def test_a_host_that_answers_late_at_first_does_not_look_much_faster_than_it_is(delays: list[float]) -> None:
    """20 Mbit/s, 14 ms, and a host so busy that any answer may come up to 100 ms late."""
    probe = EchoProbe(random.Random(1))
    late: Iterator[float] = iter(delays)
    run(probe, 20e6 / 8, lambda: 0.014 + next(late))
    rate = probe.result().rate_mbit
    assert rate is not None
    assert rate < 3 * 20


def test_a_thin_link_is_measured_well_and_carries_little() -> None:
    probe = EchoProbe(random.Random(1))
    requests = run(probe, 20e6 / 8, lambda: 0.014)
    found = probe.result()
    assert found.rtt_ms == pytest.approx(14, rel=0.01)
    assert found.rate_mbit == pytest.approx(20, rel=0.01)
    assert sum(len(request.payload) for request in requests) == SHORT_BYTES


def test_a_fast_link_far_away_is_not_taken_for_a_thin_one() -> None:
    probe = EchoProbe(random.Random(1))
    run(probe, 1e9 / 8, lambda: 0.1)
    assert probe.result().rate_mbit is None


def test_only_the_whole_right_answer_counts() -> None:
    probe = EchoProbe(random.Random(1))
    [request] = probe.requests(0.0)
    assert not probe.receive(EchoReply(nonce=request.nonce + 1, payload=request.payload), 1.0)
    assert not probe.receive(EchoReply(nonce=request.nonce, payload=request.payload[:-1]), 1.0)
    assert probe.result() == Performance()
    assert probe.receive(EchoReply(nonce=request.nonce, payload=request.payload), 2.0)
    assert not probe.receive(EchoReply(nonce=request.nonce, payload=request.payload), 3.0)
    assert probe.result().rtt_ms == 2000


def test_half_a_probe_tells_half() -> None:
    probe = EchoProbe(random.Random(1))
    for now in (0.0, 1.0, 2.0):
        [request] = probe.requests(now)
        assert probe.receive(EchoReply(nonce=request.nonce, payload=request.payload), now + 0.5)
    assert len(probe.requests(3.0)) == 1
    assert probe.result() == Performance(rtt_ms=500.0, rate_mbit=None)


def test_a_train_counts_when_all_of_it_is_back_in_whatever_order() -> None:
    probe = EchoProbe(random.Random(1))
    for _ in STEPS:
        [request] = probe.requests(0.0)
        assert probe.receive(EchoReply(nonce=request.nonce, payload=request.payload), 1.0)
    first, second = probe.requests(10.0)  # the short trains took no longer than a round trip: unclear
    assert not probe.receive(EchoReply(nonce=second.nonce, payload=second.payload), 11.0)
    assert probe.receive(EchoReply(nonce=first.nonce, payload=first.payload), 14.0)
    assert probe.requests(20.0) == []
    assert probe.result().rate_mbit == pytest.approx(3 * 64 * 1024 * 8 / 3 / 1e6)  # four seconds, one for the way
