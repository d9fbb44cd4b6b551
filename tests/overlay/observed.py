"""A network that is known, and what a tracer and echoes may tell of it: late, silent, wrong or in contradiction.

Owns: the true paths of six sites of eight members below three regional routers, what is observed of them, and how many
copies of the stream the tree sends over each thin link by the true paths. Refuses: deciding anything.

Source and coordinator are one host, so the source's path is empty. Every leaf's uplink and the source's access link
carry ``UPLINK_MBIT``; links between routers carry more.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Final

from overlaycast.overlay import Measurement
from overlaycast.wire.messages import FirstHops
from tests.overlay.scene import Scene

Path = tuple[str | None, ...]

UPLINK_MBIT: Final = 20.0
MEMBERS: Final = 8
LEAVES: Final = {"La": "R1", "Lb": "R1", "Lc": "R2", "Ld": "R2", "Le": "R3", "Lf": "R3"}
SOURCE: Final = "S"
TRUE: Final[dict[str, tuple[str, ...]]] = {SOURCE: ()} | {
    f"{leaf[1]}{number}": ("R0", region, leaf) for leaf, region in LEAVES.items() for number in range(1, MEMBERS + 1)
}
"""The routers from the source to each member."""
IN, OUT = "in", "out"


@dataclass(frozen=True)
class Seen:
    """What is observed of one member."""

    path: Path
    mbit: float | None = UPLINK_MBIT
    rtt_ms: float | None = 1.0
    reached: bool = True


Observed = dict[str, Seen]


def clear() -> Observed:
    """Return the truth."""
    return {name: Seen(path, 1000.0 if name == SOURCE else UPLINK_MBIT) for name, path in TRUE.items()}


def noisy(seen: Observed, chance: random.Random, late: float = 0.6, high: int = 1) -> Observed:
    """Return it with most echoes late, some lost, and a few too high, each at a router of its own.

    As trains through one uplink at the same time read it: 6 to 24 Mbit/s on 20, and one 29.
    """
    found = {}
    fooled = [f"{leaf[1]}{chance.randint(1, MEMBERS)}" for leaf in chance.sample(sorted(LEAVES), high)]
    for name, one in seen.items():
        rate = UPLINK_MBIT * (chance.uniform(0.35, 0.9) if chance.random() < late else chance.uniform(0.96, 1.08))
        if name in fooled:
            rate = UPLINK_MBIT * 1.5
        # where one reads too much, the others read something: a single other one would not deny it
        beside = name[0] in {one[0] for one in fooled}
        known = chance.random() < 0.8 or name == SOURCE or beside
        kept = one.mbit if name == SOURCE else rate
        found[name] = replace(one, mbit=kept) if known else replace(one, mbit=None, rtt_ms=None)
    return found


def limited(seen: Observed, chance: random.Random, burst: int = 6) -> Observed:
    """Return it as routers tell it that answer ``burst`` of all askers and are silent to the others."""
    answers = Counter[str]()
    found = dict(seen)
    for name in chance.sample(sorted(seen), len(seen)):
        path: list[str | None] = []
        for hop in seen[name].path:
            path.append(hop if hop is not None and answers[hop] < burst else None)
            answers[str(hop)] += 1
        found[name] = replace(seen[name], path=tuple(path))
    return found


def silent(seen: Observed, *routers: str) -> Observed:
    """Return it with routers that answer nobody."""
    return {
        name: replace(one, path=tuple(None if hop in routers else hop for hop in one.path))
        for name, one in seen.items()
    }


def balanced(seen: Observed, chance: random.Random) -> Observed:
    """Return it with two routers in turn before the first region, as flows are balanced over them."""

    def path(hops: Path) -> Path:
        return (hops[0], chance.choice(["X1", "X2"]), *hops[1:]) if "R1" in hops else hops

    return {name: replace(one, path=path(one.path)) for name, one in seen.items()}


def mistaken(seen: Observed, chance: random.Random, many: int = 3) -> Observed:
    """Return it with some members taken to be where others are: a neighbour's answer was believed."""
    found = dict(seen)
    for name in chance.sample([name for name in sorted(TRUE) if name != SOURCE], many):
        other = chance.choice([other for other in sorted(LEAVES) if other not in TRUE[name]])
        found[name] = replace(found[name], path=("R0", LEAVES[other], other))
    return found


def lost(seen: Observed, chance: random.Random, many: int = 6) -> Observed:
    """Return it with some members of which no trace tells anything."""
    found = dict(seen)
    for name in chance.sample([name for name in sorted(TRUE) if name != SOURCE], many):
        found[name] = replace(found[name], path=(), reached=False)
    return found


def address(name: str, one24: bool) -> str:
    """Return a member's address: each in a /24 of its own, or all in one, running on through it."""
    number = sorted(TRUE).index(name)
    return f"10.64.0.{4 * number + 2}" if one24 else f"10.64.{number}.2"


def group(mode: str = "live", one24: bool = False, **settings: object) -> Scene:
    """Return a group that all have subscribed to, and of whom nothing is measured."""
    scene = Scene(mode=mode, **({"rate_mbit": 8.0, "start_members": len(TRUE) - 1} | settings))
    for name in sorted(TRUE):
        role = "source" if name == SOURCE else "peer"
        scene.join(name, role=role, host=address(name, one24), measure=False)
    return scene


def tell(scene: Scene, seen: Observed, chance: random.Random) -> None:
    """Tell the overlay what was observed, in any order."""
    for name in chance.sample(sorted(seen), len(seen)):
        one = seen[name]
        measurement = Measurement(one.path, one.rtt_ms, one.mbit, (), one.reached)
        scene.overlay.measured(scene[name].id, measurement, scene.now)
    scene.deliver()


def said(name: str, one24: bool = False) -> FirstHops:
    """Return what a member truly sees of its network: its own link to the leaf, then the region, then the rest."""
    leaf = TRUE[name][-1]
    network, _, own = address(name, one24).rpartition(".")
    beyond = (f"10.65.{sorted(LEAVES).index(leaf)}.1", f"10.66.{LEAVES[leaf][1]}.1")
    return FirstHops(gateway=f"{network}.{int(own) - 1}", hops=(f"{network}.{int(own) - 1}", *beyond))


def words(scene: Scene, one24: bool, names: Iterable[str] | None = None) -> None:
    """Let members say what they see of their networks; all but the source, if no names are given."""
    for name in sorted(TRUE) if names is None else names:
        if name != SOURCE:
            scene.overlay.receive(scene[name].id, said(name, one24), scene.now)
    scene.deliver()


def crossings(scene: Scene, without: frozenset[str] = frozenset()) -> Counter[tuple[str, str]]:
    """Return the copies on each thin link by the true paths, by its lower end (``SOURCE``: the access link), and way.

    ``without``: members whose own copies are not counted.
    """
    found = Counter[tuple[str, str]]()
    for child, parent in scene.parents().items():
        if parent is None or child in without:
            continue
        one, other = TRUE[parent], TRUE[child]
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
        found[SOURCE, OUT] += parent == SOURCE
        found.update((router, OUT) for router in one[shared:] if router in LEAVES)
        found.update((router, IN) for router in other[shared:] if router in LEAVES)
    return found


def worst(scene: Scene, without: frozenset[str] = frozenset()) -> dict[str, int]:
    """Return the most copies that any thin link gets, each way."""
    found = crossings(scene, without)
    return {way: max((copies for (_, one), copies in found.items() if one == way), default=0) for way in (IN, OUT)}
