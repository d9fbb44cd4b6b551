"""The echo probe's arithmetic, and that nobody can look faster than he is by answering something else."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.discovery.echo import RATE_BYTES, RATE_TIMES, SMALL_TIMES, EchoProbe, Performance
from overlaycast.wire.messages import EchoReply, EchoRequest


def run(probe: EchoProbe, rtt: float, bytes_per_s: float) -> list[EchoRequest]:
    """Answer everything over a link of this round-trip time and rate (each way), from time 50 on."""
    now, requests = 50.0, []
    while (request := probe.request(now)) is not None:
        requests.append(request)
        now += rtt + 2 * len(request.payload) / bytes_per_s
        assert probe.receive(EchoReply(nonce=request.nonce, payload=request.payload), now)
    return requests


@given(st.floats(0.0005, 2), st.floats(1e4, 1e9))
def test_the_figures_are_those_of_the_link(rtt: float, bytes_per_s: float) -> None:
    probe = EchoProbe(random.Random(1))
    requests = run(probe, rtt, bytes_per_s)
    found = probe.result()
    assert found.rtt_ms is not None
    assert found.rate_mbit is not None
    assert found.rtt_ms == pytest.approx(rtt * 1000, rel=0.05, abs=10)
    true = bytes_per_s * 8 / 1e6
    # the small payloads are not quite nothing, so the rate may seem a little higher than it is; where the transfer
    # vanishes beside the round-trip time it is a lower bound
    assert found.rate_mbit <= true * 1.01
    if 2 * RATE_BYTES / bytes_per_s > rtt / 40:
        assert found.rate_mbit >= true * 0.99
    assert len(requests) == SMALL_TIMES + RATE_TIMES
    assert len({request.nonce for request in requests}) == len(requests)
    assert max(len(request.payload) for request in requests) == RATE_BYTES


def test_a_thin_link_is_measured_well() -> None:
    probe = EchoProbe(random.Random(1))
    run(probe, 0.020, 20e6 / 8)
    found = probe.result()
    assert found.rtt_ms == pytest.approx(20, rel=0.01)
    assert found.rate_mbit == pytest.approx(20, rel=0.01)


def test_only_the_whole_right_answer_counts() -> None:
    probe = EchoProbe(random.Random(1))
    request = probe.request(0.0)
    assert request is not None
    assert not probe.receive(EchoReply(nonce=request.nonce + 1, payload=request.payload), 1.0)
    assert not probe.receive(EchoReply(nonce=request.nonce, payload=request.payload[:-1]), 1.0)
    assert probe.result() == Performance()
    assert probe.receive(EchoReply(nonce=request.nonce, payload=request.payload), 2.0)
    assert not probe.receive(EchoReply(nonce=request.nonce, payload=request.payload), 3.0)
    assert probe.result().rtt_ms == 2000


def test_half_a_probe_tells_half() -> None:
    probe = EchoProbe(random.Random(1))
    for now in (0.0, 1.0, 2.0):
        request = probe.request(now)
        assert request is not None
        probe.receive(EchoReply(nonce=request.nonce, payload=request.payload), now + 0.5)
    assert probe.request(3.0) is not None
    assert probe.result() == Performance(rtt_ms=500.0, rate_mbit=None)
