"""Wishes for links: what is accepted, which means is chosen, what tc is asked, and how its answers are read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.errors import ConfigError
from overlaycast.lab.network.shaping import choose, tc_commands, tc_differences, tc_overflowed
from overlaycast.lab.topology.shape import FRAME_BYTES, LEAST_QUEUE_BYTES, Shape, shape

PLAIN = Shape()
SLOW = Shape(rate_mbit=20)
FAR = Shape(delay_ms=5)

shapes = st.builds(
    Shape,
    rate_mbit=st.none() | st.floats(0.01, 10_000),
    delay_ms=st.floats(0, 1000),
    loss=st.floats(0, 1),
    duplicate=st.floats(0, 1),
    queue_bytes=st.none() | st.integers(FRAME_BYTES, 1 << 24),
)


@pytest.mark.parametrize(
    ("wishes", "complaint"),
    [
        ({"rate_mbit": 0}, "link a-b: rate_mbit is 0; accepted: 0.01 to 100000, Mbit/s"),
        ({"rate_mbit": "20M"}, "link a-b: rate_mbit is '20M'"),
        ({"loss": 1.5}, "link a-b: loss is 1.5; accepted: 0 to 1, a probability"),
        ({"loss": True}, "link a-b: loss is True"),
        ({"delay_ms": -1}, "link a-b: delay_ms is -1"),
        ({"delay_ms": float("nan")}, "link a-b: delay_ms is nan"),
        ({"queue_bytes": 10}, "link a-b: queue_bytes is 10"),
        ({"delay_ms": 2, "jitter_ms": 3}, "link a-b: jitter_ms is 3; accepted: at most delay_ms (2)"),
        ({"delay": 2}, "link a-b: unknown field 'delay'; accepted: rate_mbit, delay_ms"),
    ],
)
def test_a_wish_that_no_means_can_honour_is_refused_by_name(wishes: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        shape("link a-b", **wishes)
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_none_is_not_asked() -> None:
    assert shape("link a-b", rate_mbit=None, delay_ms=3) == Shape(delay_ms=3)


def test_the_queue_holds_fifty_milliseconds_and_a_few_frames_at_least() -> None:
    assert Shape(rate_mbit=20).queue == 125_000
    assert Shape(rate_mbit=0.1).queue == LEAST_QUEUE_BYTES
    assert Shape(rate_mbit=20, queue_bytes=5000).queue == 5000


@pytest.mark.parametrize(
    ("ab", "ba", "netem", "changeable", "means"),
    [
        (PLAIN, PLAIN, True, False, "none"),
        (SLOW, PLAIN, True, False, "tbf"),
        (PLAIN, SLOW, False, False, "tbf"),
        (SLOW, FAR, False, False, "wire"),
        (FAR, SLOW, True, False, "netem"),
        (SLOW, SLOW, False, True, "wire"),
        (PLAIN, PLAIN, True, True, "netem"),
        (PLAIN, Shape(duplicate=0.1), False, False, "wire"),
    ],
)
def test_the_means_fits_the_wish(ab: Shape, ba: Shape, netem: bool, changeable: bool, means: str) -> None:
    assert choose(ab, ba, netem=netem, changeable=changeable) == means


@given(shapes, shapes, st.booleans(), st.booleans())
def test_tbf_never_gets_what_it_cannot_do(ab: Shape, ba: Shape, netem: bool, changeable: bool) -> None:
    if choose(ab, ba, netem=netem, changeable=changeable) in ("tbf", "none"):
        assert not ab.impaired
        assert not ba.impaired
        assert not changeable


def test_what_tc_is_asked() -> None:
    assert tc_commands("tbf", "a-eth0", Shape(rate_mbit=1000)) == [
        "qdisc replace dev a-eth0 root handle 1: tbf rate 1000000000bit burst 125000b limit 6250000b"
    ]
    wish = Shape(rate_mbit=20, delay_ms=5, jitter_ms=1, loss=0.01, duplicate=0.002)
    cut_up = "root handle 1: tbf rate 40000000000bit burst 1600b limit 100000000b"
    assert tc_commands("netem", "a-eth0", wish) == [
        f"qdisc replace dev a-eth0 {cut_up}",
        "qdisc replace dev a-eth0 parent 1:1 handle 2: netem limit 50000 delay 5000us 1000us loss 1.000000%"
        " duplicate 0.200000% rate 40000000000bit",
        "qdisc replace dev a-eth0 parent 2:1 handle 3: tbf rate 20000000bit burst 2500b limit 125000b",
    ]
    assert tc_commands("netem", "a-eth0", Shape(delay_ms=5))[1:] == [
        "qdisc replace dev a-eth0 parent 1:1 handle 2: netem limit 50000 delay 5000us",
        "qdisc replace dev a-eth0 parent 2:1 handle 3: tbf rate 40000000000bit burst 100000000b limit 100000000b",
    ]
    assert tc_commands("tbf", "a-eth0", PLAIN) == []
    assert tc_commands("wire", "a-eth0", wish) == []
    assert tc_commands("none", "a-eth0", PLAIN) == []


def shown(**changed: str | float) -> str:
    """What tc says of the three storeys."""
    delay = changed.get("delay", 0.005)
    options = {"limit": 50_000, "delay": {"delay": delay, "jitter": 0}, "loss-random": {"loss": 0.01}}
    rows: list[dict[str, object]] = [
        {"kind": "tbf", "handle": "1:", "root": True, "options": {"rate": 5_000_000_000}},
        {"kind": changed.get("kind", "netem"), "handle": "2:", "parent": "1:1", "options": options},
        {"kind": "tbf", "handle": "3:", "parent": "2:1", "options": {"rate": changed.get("rate", 2_500_000)}},
    ]
    return json.dumps([{"dev": "a-eth0", **row} for row in rows])


def test_packets_that_found_the_queue_full_are_counted_apart_from_those_lost_as_asked() -> None:
    rows = [
        {"kind": "tbf", "handle": "1:", "drops": 1},
        {"kind": "netem", "handle": "2:", "drops": 30},
        {"kind": "tbf", "handle": "3:", "drops": 7},
    ]
    said = json.dumps([{"dev": "a-eth0", **row} for row in rows] + [{"dev": "b-eth0", "handle": "3:", "drops": 9}])
    assert tc_overflowed("netem", "a-eth0", said) == 7
    assert tc_overflowed("tbf", "a-eth0", said) == 1
    assert tc_overflowed("tbf", "c-eth0", "") == 0


def test_what_tc_says_back_of_netem_is_compared() -> None:
    wish = Shape(rate_mbit=20, delay_ms=5, loss=0.01)
    assert tc_differences("netem", "a-eth0", wish, shown()) == []
    assert tc_differences("netem", "a-eth0", wish, shown(delay=0.05)) == ["a-eth0: delay_ms: asked 5, found 50"]
    assert tc_differences("netem", "a-eth0", wish, shown(rate=1)) == ["a-eth0: rate_mbit: asked 20, found 8e-06"]
    assert tc_differences("netem", "a-eth0", wish, shown(kind="bfifo")) == ["a-eth0: asked netem as 2:, found bfifo"]
    assert tc_differences("netem", "b-eth0", wish, "") == ["b-eth0: asked tbf as 1:, found nothing"]
    unlimited = Shape(delay_ms=5, loss=0.01)
    assert tc_differences("netem", "a-eth0", unlimited, shown(rate=5_000_000_000)) == []
    assert tc_differences("netem", "a-eth0", unlimited, shown()) == ["a-eth0: rate_mbit: asked 40000, found 20"]


def test_what_tc_says_back_of_tbf_is_compared() -> None:
    tbf = {"kind": "tbf", "handle": "1:", "dev": "a-eth0", "root": True, "options": {"rate": 125_000_000}}
    assert tc_differences("tbf", "a-eth0", Shape(rate_mbit=1000), json.dumps([tbf])) == []
    assert tc_differences("tbf", "a-eth0", Shape(rate_mbit=500), json.dumps([tbf])) == [
        "a-eth0: rate_mbit: asked 500, found 1000"
    ]
