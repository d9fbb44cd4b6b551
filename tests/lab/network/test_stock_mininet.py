"""Every file of ``topologies/`` is Mininet's: the stock ``mn --custom`` brings it up, and its hosts reach each other.

Stock Mininet takes 5 to 20 s for each, so most are slow tests together.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from overlaycast.lab.topology.loading import load_topology
from tests.lab.inside import ROOT, inside
from tests.lab.stock import mn

pytestmark = pytest.mark.lab
FILES = sorted((ROOT / "topologies").glob("*.py"))
QUICK = ("figure_2a", "abilene")


def test_there_are_all_that_are_promised() -> None:
    names = {file.stem for file in FILES}
    assert names >= {"figure_2a", "chain_10", "six_sites", "deep_tree", "wide_tree", "abilene"}


@pytest.mark.parametrize(
    "file",
    [pytest.param(file, id=file.stem, marks=() if file.stem in QUICK else pytest.mark.slow) for file in FILES],
)
@inside
def test_stock_mininet_brings_it_up(file: Path) -> None:
    topology = load_topology(file)
    source = topology.hosts("server")[0].name
    others = [host.name for host in topology.hosts("client")]
    far = max(others, key=lambda other: (len(topology.path(source, other)), other))
    script = f"{far} ping -c 1 -W 2 {topology.address(source)}\n"
    done = mn(file, file.stem, script)
    shown = done.stdout + done.stderr
    assert "1 packets transmitted, 1 received" in shown
    routers = len(topology.path(source, far)) - 1
    assert f"ttl={64 - routers}" in shown, f"through the {routers} routers between them"
    assert done.returncode == 0
