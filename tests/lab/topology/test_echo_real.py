"""The echo over real TCP and a shaped line: 20 Mbit/s is 20 Mbit/s, near and far.

A host that is kept from the processor makes echoes late, so a reading on a busy machine may be low; the probe then says
so by measuring again. A test that must not depend on that takes the best of some readings: a late echo never makes a
line look faster.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack

import pytest

from overlaycast.lab.network.network import Network
from overlaycast.lab.topology.graph import Link, Node
from overlaycast.lab.topology.shape import Shape
from overlaycast.lab.topology.topology import Topology
from tests.lab.inside import ROOT, inside

pytestmark = pytest.mark.lab
MBIT = 20
READINGS = 20
PROGRAM = ROOT / "tests" / "lab" / "programs" / "echo.py"


def line(rtt_ms: float) -> Topology:
    """A host at the end of a thin line, and one that probes it."""
    wish = Shape(rate_mbit=MBIT, delay_ms=rtt_ms / 2)
    nodes = [
        Node("r", "router"),
        Node("s", "router"),
        Node("near", "host", role="client"),
        Node("far", "host", role="client"),
    ]
    links = [Link("r", "s", wish, wish), Link("r", "near", Shape(), Shape()), Link("s", "far", Shape(), Shape())]
    return Topology.of("line", nodes, links)


@pytest.mark.parametrize("rtt_ms", [2, 50, 150])
@inside
def test_the_rate_is_the_lines_however_far_it_is(rtt_ms: float) -> None:
    topology = line(rtt_ms)
    with Network(topology) as network, ExitStack() as stack:
        python = [sys.executable, str(PROGRAM)]
        near = stack.enter_context(network.host("near").popen([*python, "probe"], stdout=subprocess.PIPE))
        assert near.stdout is not None
        url = near.stdout.readline().decode().strip().replace("HOST", topology.address("near"))
        far = stack.enter_context(network.host("far").popen([*python, "return", url]))
        stack.callback(far.kill)
        stack.callback(near.kill)
        readings: list[dict[str, float]] = []
        while len(readings) < READINGS:
            found = json.loads(near.stdout.readline())
            readings.append(found)
            if abs(found["rate_mbit"] / MBIT - 1) <= 0.15 and abs(found["rtt_ms"] - rtt_ms) < 5:
                return
    pytest.fail(f"no reading of {READINGS} is near: {readings}")
