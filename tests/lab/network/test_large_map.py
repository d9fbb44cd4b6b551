"""A map as large as the Zoo's largest becomes a running network that passes its check."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from overlaycast.lab.fidelity import fidelity
from overlaycast.lab.network.network import Network
from overlaycast.lab.topology.loading import load_topology
from tests.lab.inside import inside

pytestmark = [pytest.mark.lab, pytest.mark.slow]
ROUTERS, CHORDS = 754, 145


def graphml() -> str:
    """A made-up country: towns on a plain, each linked to the nearest that is there already, and some chords."""
    rng = random.Random(1)
    spots = [(round(rng.uniform(36, 39), 3), round(rng.uniform(-89, -82), 3)) for _ in range(ROUTERS)]
    pairs = []
    for here in range(1, ROUTERS):
        x, y = spots[here]
        pairs.append((here, min(range(here), key=lambda n: (spots[n][0] - x) ** 2 + (spots[n][1] - y) ** 2)))
    for _ in range(CHORDS):
        a, b = rng.sample(range(ROUTERS), 2)
        pairs.append((a, b))
    keys = '<key id="x" for="node" attr.name="Latitude"/><key id="y" for="node" attr.name="Longitude"/>'
    nodes = "".join(
        f'<node id="{n}"><data key="x">{x}</data><data key="y">{y}</data></node>' for n, (x, y) in enumerate(spots)
    )
    edges = "".join(f'<edge source="{a}" target="{b}"/>' for a, b in pairs)
    graph = f'<graph edgedefault="undirected">{nodes}{edges}</graph>'
    return f'<graphml xmlns="http://graphml.graphdrawing.org/xmlns">{keys}{graph}</graphml>'


@inside
def test_seven_hundred_routers_start_and_pass_the_check(tmp_path: Path) -> None:
    file = tmp_path / "country.graphml"
    file.write_text(graphml())
    topology = load_topology(file, "20@3")
    assert len(topology.routers) >= ROUTERS
    # more links than one wire carries under load, on a machine that may be busy: this is about size
    with Network(topology) as network:
        found = fidelity.check(network, fidelity.Tolerance(delay_ms=10, rate=0.3, fast_rate=0.9))
        assert found.hosts == 23
        assert found.multicast_blocked
        assert len(network.counters()) == len(topology.links)
