"""Build Figure 2A, have programs run in it, say so, and wait for the wish to stop.

Its output ends when all of it is gone.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from overlaycast.lab.network.isolation import stop_requested
from overlaycast.lab.network.network import Network
from overlaycast.lab.topology.loading import load_topology


async def main() -> int:
    """Return 0 after a wish to stop."""
    stop = stop_requested()
    topology = load_topology(Path(__file__).parents[3] / "topologies" / "figure_2a.py")
    with Network(topology) as network:
        for host in ("source", "202a", "202m"):
            network.host(host).popen(["sleep", "600"], stdout=sys.stdout, stderr=sys.stderr)
        network.host("202b").cmd("true")  # a Mininet shell, too
        ping = network.host("source").popen(["ping", "-q", "-c", "2", "-i", "0.1", topology.address("202m")])
        answered = ping.wait() == 0
        print(
            json.dumps({"ready": True, "answered": answered, "namespaces": len(os.listdir("/run/netns"))}),
            flush=True,
        )
        await stop.wait()
    print(json.dumps({"stopped": True}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
