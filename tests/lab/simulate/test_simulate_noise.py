"""Networks that are measured twice give the same tree, though no two readings and no two orders are the same."""

from __future__ import annotations

import random
from functools import cache

import pytest

from overlaycast.lab.simulate.draw import Draw, on_topology
from overlaycast.lab.topology.loading import load_topology
from overlaycast.overlay import Measurement, Overlay
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import VERSION, Address, Subscribe
from tests.lab.made_up import ROOT

TIMES = 20
SHARE, FLOOR_MS, RATE_SHARE = 0.05, 0.3, 0.1
"""A reading of a delay is off by up to this part and so many ms more, one of a rate by up to that part."""


@cache
def network(name: str) -> Draw:
    return on_topology(load_topology(ROOT / "topologies" / f"{name}.py"), seed=1)


def tree(draw: Draw, rng: random.Random | None, **settings: object) -> list[tuple[int, int | None, int]]:
    """Return who feeds whom, and the ranks, as measured in this run; without ``rng`` exactly and in order."""

    def delay(ms: float) -> float:
        if rng is None:
            return ms
        return max(0.0, ms * rng.uniform(1 - SHARE, 1 + SHARE) + rng.uniform(-FLOOR_MS, FLOOR_MS))

    def rate(mbit: float) -> float:
        return mbit if rng is None else mbit * rng.uniform(1 - RATE_SHARE, 1 + RATE_SHARE)

    hosts = [0, *draw.members]
    peers = len(draw.members) - len(draw.backups)
    group = GroupSettings.model_validate({"start_members": peers} | settings)
    overlay = Overlay(group, bytes(32))
    ids = [overlay.join(_request(draw, host), 0.0) for host in hosts]
    if rng is not None:
        rng.shuffle(hosts)
    for host in hosts:
        trace = draw.trace(host)
        found = Measurement(
            path=tuple(router for router, _ in trace),
            rtt_ms=delay(2 * draw.control_ms(host)),
            rate_mbit=rate(draw.bottleneck_mbit(host)),
            hops_ms=tuple(delay(ms) for _, ms in trace),
        )
        overlay.measured(ids[host], found, 0.0)
    return [(seat.id, seat.parent, seat.rank) for seat in overlay.tree().members]


def _request(draw: Draw, host: int) -> Subscribe:
    return Subscribe(
        version=VERSION,
        group="g",
        token="t",
        name=f"host-{host}",
        role="source" if host == 0 else "backup" if host in draw.backups else "peer",
        addresses=(Address(host=f"10.{draw.places[host]}.{host >> 8}.{host & 255}", port=8471),),
    )


@pytest.mark.parametrize("strategy", ["both", "location"])
@pytest.mark.parametrize(("rate_mbit", "degree"), [(3.2, 4), (8.4, 8)])
@pytest.mark.parametrize("name", ["figure_2a", "six_sites", "abilene", "deep_tree", "wide_tree"])
def test_noise_does_not_choose_who_feeds_whom(name: str, rate_mbit: float, degree: int, strategy: str) -> None:
    draw = network(name)
    settings = {"rate_mbit": rate_mbit, "default_out_degree": degree, "strategy": strategy}
    exact = tree(draw, None, **settings)
    runs = [tree(draw, random.Random(f"noise {time}"), **settings) for time in range(TIMES)]
    assert [run == exact for run in runs] == [True] * TIMES
