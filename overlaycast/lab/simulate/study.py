"""One study: a draw, five systems on it, and what happens to the overlay afterwards. Pure, in virtual time.

Owns: the order of things and the shape of the result, a JSON document that is the same for the same wishes and seed
(no wall time in it). Refuses: a group that is not fed within ``START_LIMIT_S``: that is a defect of ``overlay`` (or of
this simulation), and raises ``LabError``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from overlaycast.errors import LabError
from overlaycast.lab.simulate import baselines, metrics
from overlaycast.lab.simulate.baselines import Limits
from overlaycast.lab.simulate.churn import Churn, ChurnScript, kill_share
from overlaycast.lab.simulate.draw import Draw
from overlaycast.lab.simulate.full_map import FullMap
from overlaycast.lab.simulate.goals import goals
from overlaycast.lab.simulate.hop import Death
from overlaycast.lab.simulate.metrics import percentile
from overlaycast.lab.simulate.tally import Tally
from overlaycast.lab.simulate.tracing import Icmp, Tracing
from overlaycast.lab.simulate.world import World
from overlaycast.wire.group import GroupSettings

ARRIVAL_S: Final = 5.0  # all subscribe within this time, where all are placed together
SINGLY_S: Final = 0.02  # the mean time between two members that are placed one by one
START_LIMIT_S: Final = 300.0
SETTLE_S: Final = 5.0
MEND_LIMIT_S: Final = 120.0

Say = Callable[[str], None]
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a study is to do.

    Attributes:
        settings: the group's.
        seed: of everything that is chosen at random but the draw, which has its own.
        together: all are placed in one go (Fig. 5), else one by one (Fig. 4).
        anonymous: the share of routers that never answer a trace.
        icmp: how many ICMP errors routers send; None: routes are known without probes.
        churn: what comes and goes, or None.
        settle_s: how long the group goes on before its tree is measured: so long it may be improved.
        kill_percent: the share of peers that dies at once at the end; 0: none.
        death: how those die.
    """

    settings: GroupSettings
    seed: int
    together: bool = True
    anonymous: float = 0.0
    icmp: Icmp | None = None
    churn: Churn | None = None
    kill_percent: float = 0.0
    death: Death = "silent"
    settle_s: float = SETTLE_S


def run(draw: Draw, wishes: Wishes, say: Say) -> Document:
    """Return the result of a study.

    Args:
        draw: the members and their routers.
        wishes: what to do.
        say: called with a line of progress now and then.

    Raises:
        LabError: the overlay did not feed all members.
        ConfigError: the members do not fit into the limits.
    """
    settings = wishes.settings
    ideal = metrics.of_multicast(draw, settings.rate_mbit)
    systems, also = _others(draw, wishes, ideal.cost)
    world, start = _start(draw, wishes, say)
    systems = {"overlay": _tree_document(world, ideal.cost), "multicast": ideal.document(), **systems}
    document: Document = {
        "topology": draw.name,
        "members": sum(1 for member in draw.members if member not in draw.backups),
        "sites": len({draw.sites[member] for member in draw.members if member not in draw.backups}),
        "seed": wishes.seed,
        "settings": settings.model_dump(),
        "notes": list(draw.notes),
        "systems": systems,
        "also": also,
        "start": start,
        "goals": goals(draw, settings, systems["overlay"]),
    }
    if world.tracing is not None:
        document["tracing"] = _tracing(world.tracing, len(world.members))
    if wishes.churn is not None:
        document["churn"] = _churn(world, wishes.churn, wishes.seed, say)
    if wishes.kill_percent:
        document["kill"] = _kill(world, wishes, say)
    return document


def _others(draw: Draw, wishes: Wishes, ideal: int) -> tuple[Document, Document]:
    settings = wishes.settings
    limits = Limits(settings.source_out_degree, settings.default_out_degree, settings.depth_limit)
    deep = Limits(limits.source, limits.member, len(draw.places))

    def measured(parents: baselines.Parents) -> Document:
        return metrics.of_tree(draw, parents, ideal, settings.rate_mbit).document()

    systems = {
        "unicast": measured(baselines.unicast(draw)),
        "random": measured(baselines.at_random(draw, limits, wishes.seed)),
        "rtt": measured(baselines.by_round_trip(draw, limits)),
    }
    everything = FullMap(draw)
    return systems, {
        "rtt_any_depth": measured(baselines.by_round_trip(draw, deep)),
        "full_map": measured(everything.within_depth(limits.depth)),
        "floor": measured(everything.fewest_links()),
    }


def _start(draw: Draw, wishes: Wishes, say: Say) -> tuple[World, Document]:
    peers = sum(1 for member in draw.members if member not in draw.backups)
    settings = wishes.settings.model_copy(update={"start_members": peers if wishes.together else 0})
    world = World(draw, settings, wishes.seed, wishes.anonymous, wishes.icmp)
    world.join(0, "source")
    for host in draw.members:
        role = "backup" if host in draw.backups else "peer"
        wait = world.rng.random() * ARRIVAL_S if wishes.together else host * SINGLY_S
        world.after(wait, world.join, host, role)
    total = len(draw.places)
    step = 1.0
    while len(world.members) < total or world.begun_at is None or world.unfed():
        if world.now > START_LIMIT_S + total * SINGLY_S:
            raise LabError(_not_fed(world, total))
        say(f"start: {world.now:.0f} s, {len(world.members)} of {total} subscribed, {len(world.unfed())} not fed yet")
        world.agenda.run(world.now + step)
    fed_at = world.now
    world.agenda.run(world.now + wishes.settle_s)
    tally = world.settle()
    begun = world.begun_at
    assert begun is not None
    return world, {
        "subscribed_s": round(world.subscribed_at, 3),
        "begun_s": round(begun, 3),
        "all_fed_s": round(fed_at, 3),
        "orders": dict(sorted(tally.orders.items())),
        "settled_s": round(wishes.settle_s, 3),
        "moves": tally.moves,
        "moves_of_well": tally.moves_of_well,
        "epoch_messages_per_member": round(sum(tally.orders.values()) / total, 3),
    }


def _not_fed(world: World, total: int) -> str:
    unfed = world.unfed()
    state = "has begun" if world.begun_at is not None else "was never told to begin"
    orders = ((m.ident, m.order.parent if m.order else None) for m in unfed[:5])
    some = ", ".join(f"{ident} (parent {parent.member if parent else None})" for ident, parent in orders)
    return (
        f"simulation: after {world.now:.0f} s {len(unfed)} of {total} members are not fed; the source {state};"
        f" the first: {some}"
    )


def _tree_document(world: World, ideal: int | None = None) -> Document:
    draw, parents, unfed = world.tree()
    rate = world.settings.rate_mbit
    cost = metrics.of_multicast(draw, rate).cost if ideal is None else ideal
    return {**metrics.of_tree(draw, parents, cost, rate).document(), "unfed": unfed}


def _mend(world: World, say: Say) -> float | None:
    """Let time pass until all members are fed. Returns how long it took; None: they never were."""
    began = world.now
    while world.now < began + MEND_LIMIT_S:
        world.agenda.run(world.now + 0.05)
        if not world.unfed():
            return round(world.now - began, 2)
        say(f"mending: {world.now - began:.1f} s, {len(world.unfed())} not fed")
    return None


def _tracing(tracing: Tracing, members: int) -> Document:
    times = tracing.complete_at.values()
    return {
        "probes": tracing.probes,
        "probes_per_member": round(tracing.probes / members, 3),
        "final_share": round(len(times) / members, 3),
        "final_s": round(max(times, default=0.0), 3),
    }


def _churn(world: World, churn: Churn, seed: int, say: Say) -> Document:
    ChurnScript(world, churn, seed)
    ends_at = world.now + churn.duration_s
    while world.now < ends_at:
        world.agenda.run(min(ends_at, world.now + 1.0))
        tally = world.tally
        say(f"churn: {ends_at - world.now:.0f} s left, {tally.changes} came or went, {tally.moves} moves")
    fed_again = _mend(world, say)
    tally = world.settle()
    return {
        "percent_per_minute": churn.percent_per_minute,
        "lifetime_s": churn.lifetime_s,
        "duration_s": churn.duration_s,
        **_counts(tally),
        "fed_again_s": fed_again,
        "tree": _tree_document(world),
    }


def _kill(world: World, wishes: Wishes, say: Say) -> Document:
    victims = kill_share(world, wishes.kill_percent, wishes.death, wishes.seed)
    fed_again = _mend(world, say)
    world.agenda.run(world.now + 2 * SETTLE_S)
    tally = world.settle()
    return {
        "percent": wishes.kill_percent,
        "death": wishes.death,
        "killed": len(victims),
        **_counts(tally),
        "fed_again_s": fed_again,
        "tree": _tree_document(world),
    }


def _counts(tally: Tally) -> Document:
    gaps, waits = sorted(tally.gaps), sorted(tally.first_waits)
    orders = tally.orders["assign"] + tally.orders["accept"] + tally.orders["revoke"]
    return {
        "joins": tally.joins,
        "leaves": tally.leaves,
        "crashes": tally.crashes,
        "forwarder_crashes": tally.forwarder_crashes,
        "moves": tally.moves,
        "moves_needed": tally.moves_needed,
        "moves_following": tally.moves_following,
        "moves_improving": tally.moves_improving,
        "moves_of_well": tally.moves_of_well,
        "moves_per_failure": _ratio(tally.moves, tally.crashes + tally.leaves),
        "orders": dict(sorted(tally.orders.items())),
        "orders_per_change": _ratio(orders, tally.changes),
        "errors": tally.errors,
        "events": dict(sorted(tally.events.items())),
        "gaps": len(gaps),
        "gap_ms": {
            "p50": round(percentile(gaps, 50) * 1000, 1),
            "p99": round(percentile(gaps, 99) * 1000, 1),
            "max": round(gaps[-1] * 1000, 1) if gaps else 0.0,
        },
        "first_data_ms": {
            "p50": round(percentile(waits, 50) * 1000, 1),
            "p99": round(percentile(waits, 99) * 1000, 1),
        },
        "well_moved": tally.well_moved[:20],
    }


def _ratio(a: int, b: int) -> float | None:
    return round(a / b, 3) if b else None
