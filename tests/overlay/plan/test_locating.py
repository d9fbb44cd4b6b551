"""Places follow facts: whenever and in whatever order they come, and never a stranger's network for want of a path."""

from __future__ import annotations

import json
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from overlaycast.overlay import Measurement, Overlay
from overlaycast.overlay.state.measurement import Fact, adds_nothing
from overlaycast.overlay.state.router import Router
from overlaycast.wire.group import GroupSettings, MemberLimits
from overlaycast.wire.messages import Address, Subscribe
from tests.overlay.scene import sound

KEY = bytes(32)
Path = tuple[str | None, ...]

HOPS = st.sampled_from(["r", "m", "n", "s", "t", None])
FACTS = st.lists(
    st.tuples(st.lists(HOPS, max_size=4).map(tuple), st.booleans(), st.integers(0, 2)), min_size=1, max_size=9
)


def group(peers: int, prefix: str | None = None, **more: object) -> tuple[Overlay, list[int]]:
    """Return a group of a source and so many peers, all subscribed; the source has the first id.

    ``prefix``: of all peers' addresses; each has its own by default.
    """
    overlay = Overlay(GroupSettings.model_validate({"rate_mbit": 8, "start_members": peers, **more}), KEY)
    ids = [_join(overlay, "source", "source", "198.51.100.1")]
    for number in range(peers):
        ids.append(_join(overlay, f"p{number}", "peer", f"{prefix or f'10.0.{number}'}.{number + 1}"))
    return overlay, ids


def _join(overlay: Overlay, name: str, role: str, host: str) -> int:
    address = Address(host=host, port=8471)
    request = {"version": 2, "group": "g", "token": "t", "name": name, "role": role, "limits": MemberLimits()}
    return overlay.join(Subscribe.model_validate({**request, "addresses": (address,), "seen": host}), 0.0)


def measured(
    overlay: Overlay, member: int, path: Path, reached: bool = True, at: float = 1.0, mbit: float = 20
) -> None:
    overlay.measured(member, Measurement(path, 1.0, mbit, (), reached), at)


def label(router: Router | None) -> list[str]:
    return [one.label for one in router.up()] if router is not None else []


def places(overlay: Overlay) -> dict[str, tuple[bool, list[str]]]:
    return {one.name: (one.located, label(one.router)) for one in overlay._group.members.values()}


@settings(deadline=None)
@given(FACTS, st.randoms(use_true_random=False))
def test_every_order_of_the_same_facts_gives_the_same_places(
    facts: list[tuple[Path, bool, int]], chance: random.Random
) -> None:
    found = []
    for order in (range(len(facts)), chance.sample(range(len(facts)), len(facts))):
        overlay = Overlay(GroupSettings(start_members=1), KEY)
        source = _join(overlay, "source", "source", "198.51.100.1")
        ids = [_join(overlay, f"p{n}", "peer", f"10.0.{facts[n][2]}.{n + 1}") for n in range(len(facts))]
        measured(overlay, source, ("r",))
        for index in order:
            path, reached, _ = facts[index]
            measured(overlay, ids[index], path, reached)
            sound(overlay._group)
        found.append(places(overlay))
    assert found[0] == found[1]


def test_an_open_member_waits_for_a_path_and_then_is_beside_its_neighbours() -> None:
    overlay, (source, *peers) = group(3)
    measured(overlay, source, ())
    for peer in peers[:2]:
        measured(overlay, peer, ("r", "m", "s"))
    measured(overlay, peers[2], (None, None, None))
    state = overlay._group.members[peers[2]]
    assert overlay._group.start.started
    assert state.parent is None
    measured(overlay, peers[2], ("r", "m", "s"), at=2.0)
    assert state.parent in [overlay._group.members[peer] for peer in peers[:2]]
    sound(overlay._group)


def test_it_does_not_wait_for_ever() -> None:
    overlay, (source, *peers) = group(3)
    measured(overlay, source, ())
    for peer in peers[:2]:
        measured(overlay, peer, ("r", "m", "s"))
    measured(overlay, peers[2], (None, None, None), reached=False)
    overlay.tick(1.0 + 1.9)
    assert overlay._group.members[peers[2]].parent is None
    overlay.tick(1.0 + 2.1)
    parent = overlay._group.members[peers[2]].parent
    assert parent is not None
    assert parent.role == "peer"


def test_nobody_waits_where_no_path_tells_anything() -> None:
    overlay, ids = group(3)
    for member in ids:
        measured(overlay, member, (), reached=False)
    assert all(one.parent is not None for one in overlay._group.members.values() if one.role == "peer")


def test_a_source_without_a_path_is_in_no_strangers_network() -> None:
    overlay, (source, *peers) = group(2, "198.51.100")  # the source's prefix
    measured(overlay, peers[0], ("r", "m", "s"))
    measured(overlay, peers[1], ("r", "m", "t"))
    measured(overlay, source, (), reached=False)
    assert overlay._group.members[source].router is overlay._group.routers.root


def test_a_prefix_tells_only_where_all_of_it_that_was_traced_is_at_one_router() -> None:
    overlay, (_, *peers) = group(3, "10.0.0")
    measured(overlay, peers[0], ("r", "m", "s"))
    measured(overlay, peers[1], ("r", "m", None))
    assert places(overlay)["p1"] == (True, ["s", "m", "r", "coordinator"])
    measured(overlay, peers[2], ("r", "m", "t"))
    assert places(overlay)["p1"][0] is False


def test_a_coordinators_restart_changes_no_place() -> None:
    overlay, (source, *peers) = group(4)
    measured(overlay, source, ())
    for peer, path in zip(peers, [("r", None, "s"), ("r", "m", "s"), ("r", "m", None), (None, None)], strict=True):
        measured(overlay, peer, path)
    kept = json.loads(json.dumps(overlay.snapshot()))
    again = Overlay.restore(GroupSettings(rate_mbit=8, start_members=4), KEY, kept, 5.0)
    assert places(again) == places(overlay)
    sound(again._group)


def test_no_link_that_all_share_gets_more_copies_than_it_has_shown() -> None:
    """Six sites of eight below three regional routers, each behind 20 Mbit/s, as the source's own access link is."""
    overlay, (source, *peers) = group(48)
    measured(overlay, source, (), mbit=1000)
    for number, peer in enumerate(peers):
        site = number // 8
        measured(overlay, peer, ("r0", f"r{site // 2 + 1}", f"leaf{site}"))
    routers = overlay._group.routers.known
    assert routers["r0"].inbound <= 2
    for site in range(6):
        leaf = routers[f"leaf{site}"]
        assert (leaf.inbound, leaf.outbound <= 2) == (1, True)
    assert all(one.parent is not None for one in overlay._group.members.values() if one.role == "peer")


def test_a_file_crosses_each_of_them_once() -> None:
    overlay, (source, *peers) = group(48, mode="file")
    measured(overlay, source, (), mbit=1000)
    for number, peer in enumerate(peers):
        site = number // 8
        measured(overlay, peer, ("r0", f"r{site // 2 + 1}", f"leaf{site}"))
    routers = overlay._group.routers.known
    assert routers["r0"].inbound == 1
    for site in range(6):
        leaf = routers[f"leaf{site}"]
        assert leaf.inbound == 1
        assert leaf.outbound <= 1


def test_a_link_that_carries_several_copies_gets_no_more_than_those() -> None:
    """Twelve sites of two behind 20 Mbit/s each, and a stream of 3.2: six copies and a quarter would fill an uplink."""
    overlay, (source, *peers) = group(24, rate_mbit=3.2)
    measured(overlay, source, (), mbit=1000)
    for number, peer in enumerate(peers):
        measured(overlay, peer, ("r0", f"leaf{number // 2}"))
    routers = overlay._group.routers.known
    assert max(router.outbound for router in routers.values()) <= 5
    assert routers["r0"].inbound <= 5
    assert all(one.parent is not None for one in overlay._group.members.values() if one.role == "peer")


def test_inside_a_site_behind_a_thin_uplink_links_are_its_own() -> None:
    overlay, (source, *peers) = group(9, rate_mbit=15)
    measured(overlay, source, (), mbit=1000)
    measured(overlay, peers[0], ("r", "fast"), mbit=100)
    for number, peer in enumerate(peers[1:]):
        measured(overlay, peer, ("r", "uplink", f"floor{number % 4}"))
    routers = overlay._group.routers.known
    assert routers["uplink"].inbound == 1
    assert max(routers[f"floor{number}"].outbound for number in range(4)) > 1


def test_a_member_that_comes_back_keeps_its_place_until_a_path_says_otherwise() -> None:
    """When all come back at once, routers answer some of them later: silence moves nobody."""
    overlay, [source, one, *_] = group(2)
    measured(overlay, source, ("r",))
    measured(overlay, one, ("r", "m", "s"))
    at = places(overlay)["p0"]
    known: list[tuple[Path, bool]] = [
        (("r", None, None), True),
        (("r", None), False),
        ((), False),
        (("r", "m", "s"), True),
    ]
    for path, reached in known:
        measured(overlay, one, path, reached, at=2.0)
        assert places(overlay)["p0"] == at
    others: list[tuple[Path, bool]] = [(("r", "m", "t"), True), (("r", None), True), (("n", None, None), False)]
    for path, reached in others:
        measured(overlay, one, ("r", "m", "s"), at=3.0)
        measured(overlay, one, path, reached, at=4.0)
        assert places(overlay)["p0"] != at, path
    sound(overlay._group)


def test_what_adds_nothing() -> None:
    known = Fact(("r", "m", "s"), True, "p")
    assert adds_nothing(Fact(("r", None, None), True, "p"), known)
    assert adds_nothing(Fact(("r", "m", "s"), False, "p"), known)
    assert not adds_nothing(Fact(("r", None, None), True, "q"), known)
    assert not adds_nothing(Fact(("r", None), True, "p"), known)
    assert not adds_nothing(Fact(("r", "m", "s", "t"), False, "p"), known)
    assert not adds_nothing(Fact(("r", "m", "s"), True, "p"), Fact(("r", "m", "s"), False, "p"))
    assert not adds_nothing(Fact(("r", "n", None), True, "p"), known)
