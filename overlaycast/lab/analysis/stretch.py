"""How much longer the way along the tree is than the direct one. Pure.

Owns: the ratio of delays, from what was asked of the links; queues and programs come on top and are in the latency.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from overlaycast.lab.recording.recording import NetworkSeen


def stretches(
    network: NetworkSeen, edges: Mapping[str, str], source: str, receivers: Iterable[str]
) -> dict[str, float]:
    """Return, for each receiver, delay along the tree ÷ delay of the direct path.

    Receivers that are at no delay from the source, or that no chain of ``edges`` (child -> parent) leads to, are left
    out.
    """
    found = {}
    for receiver in receivers:
        along, here, seen = 0.0, receiver, {receiver}
        while here in edges and edges[here] not in seen:
            along += network.delays.get((edges[here], here), 0.0)
            here = edges[here]
            seen.add(here)
        direct = network.delays.get((source, receiver), 0.0)
        if here == source and direct > 0:
            found[receiver] = along / direct
    return found
