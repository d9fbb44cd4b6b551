"""A timeline drawn from a seed: any faults, at any time, but not so many that no promise could be kept. Pure.

Owns: the draw. Invariants: the same experiment, cast and seed give the same timeline; every fault names its host, so a
part of a timeline means the same as before; at most ``AWAY`` of the receivers are taken away for good, and at most one
fault is open at a time but for those that are for good; the last seconds are quiet, so that what is mended can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

from overlaycast.lab.experiment.experiment import Cast

AWAY: Final = 0.3
FIRST_S: Final = 1.5
PAUSE_S: Final = (0.5, 2.5)
LASTS_S: Final = (0.5, 2.5)
QUIET_S: Final = 3.0
SHORTEST_S: Final = 8.0

Drawn = dict[str, Any]


def draw(cast: Cast, uplinks: tuple[str, ...], seed: int, stream_s: float) -> list[Drawn]:
    """Return a timeline as an experiment's file would hold it.

    Args:
        cast: the hosts that take part.
        uplinks: sites with an uplink.
        seed: of the draw.
        stream_s: how long the stream lasts.
    """
    chance = Random(f"chaos {seed}")
    left = list(cast.peers)
    spare = int(AWAY * len(left))
    found: list[Drawn] = []
    at_s = FIRST_S + chance.uniform(0, 1)
    while at_s < stream_s - QUIET_S:
        lasts_s = round(min(chance.uniform(*LASTS_S), stream_s - QUIET_S - at_s + 1), 2)
        for_good = chance.random() < 0.3 and spare > 0
        if for_good:
            host = left.pop(chance.randrange(len(left)))
            spare -= 1
            fault: Drawn = {"action": chance.choice(["kill", "leave"]), "target": host}
            lasts_s = 0.5
        else:
            kind = chance.choice(sorted(_PASSING))
            fault = {"action": kind, "heal_after_s": lasts_s, **_PASSING[kind](chance, left, uplinks)}
        found.append({"at_s": round(at_s, 2), **fault})
        at_s += lasts_s + chance.uniform(*PAUSE_S)
    return found


def _host(chance: Random, hosts: list[str], uplinks: tuple[str, ...]) -> Drawn:
    return {"target": chance.choice(hosts)}


def _link(chance: Random, hosts: list[str], uplinks: tuple[str, ...]) -> Drawn:
    if uplinks and chance.random() < 0.5:
        return {"target": f"uplink:{chance.choice(uplinks)}"}
    return {"target": chance.choice(hosts)}


def _none(chance: Random, hosts: list[str], uplinks: tuple[str, ...]) -> Drawn:
    return {}


_PASSING: Final[Mapping[str, Callable[[Random, list[str], tuple[str, ...]], Drawn]]] = {
    "freeze": _host,
    "restart": _host,
    "link-down": _link,
    "link-loss": lambda *what: {**_link(*what), "loss": round(what[0].uniform(0.005, 0.05), 3)},
    "link-delay": lambda *what: {**_link(*what), "delay_ms": what[0].choice([20, 50, 100])},
    "coordinator-kill": _none,
    "coordinator-freeze": _none,
}
