"""Build Figure 2A, check it, and say how that went, as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from overlaycast.lab.fidelity import fidelity
from overlaycast.lab.network.network import Network
from overlaycast.lab.topology.loading import load_topology

if __name__ == "__main__":
    with Network(load_topology(Path(__file__).parents[3] / "topologies" / "figure_2a.py")) as network:
        # this is about what is allowed, not about how well it goes without priority on a busy machine
        found = fidelity.check(network, fidelity.Tolerance(delay_ms=100, rate=0.9, fast_rate=0.9))
        print(json.dumps({"measured": len(found.links), "account": network.account()}))
