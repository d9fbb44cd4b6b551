"""The wire process itself, with datagram sockets in place of TAPs: frames, changes while it runs, refusals, its end."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import pytest

from overlaycast.errors import LabError
from overlaycast.lab.network.wireclient import WireLink, WireProcess
from overlaycast.lab.topology.shape import Shape


class Bench:
    """A wire of one link, and our ends of its two cards."""

    def __init__(self, ab: Shape, ba: Shape) -> None:
        self.a, card_a = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.b, card_b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for card in (card_a, card_b):
            card.setblocking(False)
        for end in (self.a, self.b):
            end.settimeout(30)
        self.process = WireProcess([WireLink("a-b", card_a.detach(), card_b.detach(), ab, ba)], seed=1)

    def close(self) -> None:
        self.process.close()
        self.a.close()
        self.b.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(Shape(delay_ms=20), Shape())
    yield made
    made.close()


def test_frames_cross_unchanged_in_order_and_not_too_early(bench: Bench) -> None:
    frames = [os.urandom(60 + 100 * number) for number in range(10)]
    start = time.monotonic()
    for frame in frames:
        bench.a.send(frame)
    assert [bench.b.recv(2000) for _ in frames] == frames
    assert time.monotonic() - start > 0.0195
    bench.b.send(b"back")
    assert bench.a.recv(2000) == b"back"


def test_the_account_adds_up(bench: Bench) -> None:
    for _ in range(5):
        bench.a.send(bytes(100))
    for _ in range(5):
        bench.b.recv(2000)
    status = bench.process.status()
    there = status["links"]["a-b"]["ab"]
    assert (there["frames"], there["bytes"], there["dropped_loss"], there["shape"]) == (5, 500, 0, {"delay_ms": 20})
    assert status["frames"] == 5
    assert status["priority"] in ("SCHED_FIFO", "nice -20", "normal")
    assert status["lateness_ms"]["p50"] <= status["lateness_ms"]["p99"] <= status["lateness_ms"]["max"]
    bench.process.reset()
    assert bench.process.status()["frames"] == 0


def test_a_change_holds_when_it_is_acknowledged(bench: Bench) -> None:
    bench.process.change("a-b", "ab", Shape(loss=1.0))
    bench.a.send(b"lost")
    bench.process.change("a-b", "ba", Shape(duplicate=1.0))
    bench.b.send(b"twice")
    assert [bench.a.recv(2000) for _ in range(2)] == [b"twice", b"twice"]
    bench.process.change("a-b", "ab", Shape())
    bench.a.send(b"through")
    assert bench.b.recv(2000) == b"through"
    assert bench.process.status()["links"]["a-b"]["ab"]["dropped_loss"] == 1


def test_a_cut_link_carries_nothing_until_it_is_mended(bench: Bench) -> None:
    bench.process.change("a-b", "ab", Shape(delay_ms=2000))
    bench.a.send(b"on its way")
    bench.process.set_down("a-b", True)
    bench.process.change("a-b", "ab", Shape())
    bench.b.send(b"into the cut")
    assert bench.process.status()["links"]["a-b"]["ba"]["down"] is True
    bench.process.set_down("a-b", False)
    bench.a.send(b"after")
    bench.b.send(b"after")
    assert (bench.b.recv(2000), bench.a.recv(2000)) == (b"after", b"after")


def test_a_shorter_delay_after_a_longer_one_lets_no_frame_overtake(bench: Bench) -> None:
    bench.process.change("a-b", "ab", Shape(delay_ms=50))
    bench.a.send(b"1")
    while bench.process.status()["links"]["a-b"]["ab"]["frames"] == 0:
        bench.process.change("a-b", "ab", Shape(delay_ms=1))
        bench.a.send(b"2")
        break
    assert (bench.b.recv(2000), bench.b.recv(2000)) == (b"1", b"2")


@pytest.mark.parametrize(
    ("order", "complaint"),
    [
        ({"op": "shape", "link": "x", "direction": "ab", "shape": {}}, "KeyError"),
        ({"op": "shape", "link": "a-b", "direction": "ab", "shape": {"speed": 1}}, "TypeError"),
        ({"op": "explode", "link": "a-b", "direction": "ab"}, "no operation 'explode'"),
        ({}, "KeyError"),
    ],
)
def test_a_wrong_order_is_refused_and_changes_nothing(bench: Bench, order: dict[str, object], complaint: str) -> None:
    with pytest.raises(LabError, match=complaint):
        bench.process.order(order)
    assert bench.process.status()["links"]["a-b"]["ab"]["shape"] == {"delay_ms": 20}


def test_a_wire_that_died_is_an_error(bench: Bench) -> None:
    os.kill(bench.process.pid, 9)
    with pytest.raises(LabError, match="the wire"):
        bench.process.status()


def test_it_ends_with_its_control_socket() -> None:
    bench = Bench(Shape(), Shape())
    descriptor = os.pidfd_open(bench.process.pid)
    bench.close()
    os.close(descriptor)
    with pytest.raises(ProcessLookupError):
        os.kill(bench.process.pid, 0)


def test_a_rate_is_kept_and_its_queue_overflows() -> None:
    bench = Bench(Shape(rate_mbit=0.4, queue_bytes=10_000), Shape())  # 20 ms per frame of 1000 bytes
    try:
        for _ in range(100):
            bench.a.send(bytes(1000))
        for _ in range(10):
            bench.b.recv(2000)
        counts = bench.process.status()["links"]["a-b"]["ab"]
        assert counts["dropped_queue"] > 50
        assert counts["dropped_queue"] + counts["frames"] <= 100
    finally:
        bench.close()
