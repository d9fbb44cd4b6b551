"""The same network measured twice gives the same tree, though no two echoes are the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.overlay.scene import FIGURE_2A, Scene

MBIT, RTT_MS = 20.0, 14.0


def measured(rates: list[float], rtts: list[float], **more: object) -> Scene:
    """Figure 2A with these readings, in the order of its members."""
    scene = Scene(rate_mbit=8.4, default_out_degree=3, start_members=len(FIGURE_2A), **more)
    for (name, path), rate, rtt in zip(FIGURE_2A.items(), rates, rtts, strict=True):
        scene.join(name, path, rtt_ms=rtt, rate_mbit=rate)
    scene.join("backup", ("srv", "core"), "backup", rtt_ms=4.2, rate_mbit=80)
    scene.join("source", ("srv",), "source", rtt_ms=0.2, rate_mbit=300)
    return scene


def readings(worst: float, best: float) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(worst, best), min_size=len(FIGURE_2A), max_size=len(FIGURE_2A))


@pytest.mark.parametrize("strategy", ["both", "location", "performance"])
@settings(max_examples=40)
@given(st.data())
def test_noise_does_not_choose_between_equals(strategy: str, data: st.DataObject) -> None:
    """An echo shows what there is, or up to a third less on a busy host, and comes up to two milliseconds late."""
    exact = measured([MBIT] * len(FIGURE_2A), [RTT_MS] * len(FIGURE_2A), strategy=strategy)
    rates = data.draw(readings(0.65 * MBIT, MBIT))
    routers: dict[str | None, list[str]] = {}
    for name, path in FIGURE_2A.items():
        routers.setdefault(path[-1], []).append(name)
    for names in routers.values():  # behind each router one at least was not disturbed
        rates[list(FIGURE_2A).index(data.draw(st.sampled_from(names)))] = MBIT
    noisy = measured(rates, data.draw(readings(RTT_MS, RTT_MS + 2)), strategy=strategy)
    assert noisy.parents() == exact.parents()


def test_who_is_really_weaker_is_not_preferred() -> None:
    first = next(iter(FIGURE_2A))
    rates = [0.5 * MBIT if name == first else MBIT for name in FIGURE_2A]
    scene = measured(rates, [RTT_MS] * len(FIGURE_2A))
    assert measured([MBIT] * len(FIGURE_2A), [RTT_MS] * len(FIGURE_2A)).parents()[first] == "source"
    assert scene.parents()[first] != "source"
