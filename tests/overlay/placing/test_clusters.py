"""Clusters: how small and how large they are, and which of their members may be primaries (Fig. 5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.overlay.placing import clusters
from overlaycast.overlay.state import tree
from overlaycast.overlay.state.members import Member
from tests.overlay.scene import Scene, inside, record

ROUTERS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=30)
RATES = st.lists(st.sampled_from([4.0, 20.0, 40.0, 80.0, 160.0, 320.0]), min_size=1, max_size=30)


def placed(where: list[tuple[int, int]], **settings: object) -> Scene:
    """Members behind leaf routers of up to four sites; all are placed in one go."""
    scene = Scene(start_members=len(where), **settings)
    scene.join("source", ("gw",), role="source")
    for number, (site, leaf) in enumerate(where):
        scene.join(f"m{number}", ("gw", "core", f"s{site}", f"s{site}l{leaf}"))
    return scene


def one_site(rates: list[float], **settings: object) -> Scene:
    """Two sites; the members of the larger one have shown these rates."""
    scene = Scene(start_members=len(rates) + 1, rate_mbit=8, **settings)
    scene.join("source", ("gw",), role="source", rate_mbit=1000)
    scene.join("elsewhere", ("gw", "core", "t"), rate_mbit=1000)
    for number, rate in enumerate(rates):
        scene.join(f"m{number}", ("gw", "core", "s"), rate_mbit=rate)
    return scene


def primaries(scene: Scene) -> list[Member]:
    source = inside(scene).source
    assert source is not None
    return [child for child in source.children if child.name != "elsewhere"]


@given(ROUTERS, st.integers(1, 12))
def test_a_cluster_is_large_enough_or_a_whole_site(where: list[tuple[int, int]], least: int) -> None:
    scene = placed(where, cluster_min=least)
    group = inside(scene)
    for member in group.members.values():
        assert member.router is not None
        found = clusters.cluster(group, member.router)
        assert found in list(member.router.up())
        assert group.routers.site(member.router) in list(found.up())
        assert found.count >= least or found.depth <= group.routers.core.depth + 1
    assert scene.overlay.counters().placed == len(where) + 1
    tree.check(group.tree, iter(group.members.values()))


@given(RATES, st.integers(2, 8), st.sampled_from([0, 1.0, 2.5, 5.0]))
def test_further_primaries_are_few_and_ever_better(rates: list[float], most: int, copies: float) -> None:
    scene = one_site(rates, cluster_max=most, primary_copies=copies)
    group = inside(scene)
    found = primaries(scene)
    assert 1 <= len(found) <= (-(-len(rates) // most) if copies else 1)
    for number, primary in enumerate(found[1:]):
        assert primary.rate_mbit is not None
        assert primary.rate_mbit >= 8 * copies * 2**number
    assert {one.router for one in found} == {found[0].router}
    tree.check(group.tree, iter(group.members.values()))
    assert scene.overlay.counters().waiting == 0


@given(st.integers(1, 40), st.integers(1, 40), st.integers(2, 10), st.floats(0.5, 100))
def test_larger_clusters_are_preferred_and_thresholds_rise(small: int, more: int, most: int, copies: float) -> None:
    group = inside(Scene(cluster_max=most, primary_copies=copies))
    assert clusters.granted(group, small) <= clusters.granted(group, small + more)
    assert clusters.threshold(group, 0) == 0
    assert clusters.threshold(group, small) < clusters.threshold(group, small + more)


def test_the_source_s_places_go_round_the_large_clusters() -> None:
    scene = Scene(start_members=30, cluster_max=4, primary_copies=1, source_out_degree=5, rate_mbit=8)
    scene.join("source", ("gw",), role="source")
    for number in range(30):
        scene.join(f"m{number:02}", ("gw", "core", f"s{number % 3}"))
    sites = [site for site in (one.router.label for one in primaries(scene) if one.router)]
    assert len(sites) == 5
    assert {sites.count(site) for site in set(sites)} == {1, 2}


def test_what_an_echo_has_shown() -> None:
    scene = Scene(rate_mbit=8)
    scene.join("silent", ("gw", "core", "s"), rate_mbit=None)
    group = inside(scene)
    assert clusters.shown(group, Member(1, "a", "peer", rate_mbit=16)) == 2
    assert clusters.shown(group, record(scene, "silent")) == 0
    scene.join("neighbour", ("gw", "core", "s"), rate_mbit=24)
    assert clusters.shown(group, record(scene, "silent")) == 3
    assert clusters.shown(group, Member(3, "c", "peer")) == 0
    assert not clusters.deserves(group, Member(4, "d", "peer"))


def test_weak_members_are_no_further_primaries_however_large_their_cluster() -> None:
    scene = one_site([100.0] + [9.0] * 8, cluster_max=3, primary_copies=2)
    assert [one.rate_mbit for one in primaries(scene)] == [100]


def test_a_thin_uplink_gets_no_further_primary() -> None:
    scene = one_site([20.0] * 9, cluster_max=3, primary_copies=0.5)
    assert len(primaries(scene)) == 2


@pytest.mark.parametrize("large", [True, False])
def test_a_primary_is_made_and_unmade_while_the_group_runs(large: bool) -> None:
    scene = one_site([100.0] * 4, cluster_max=4, primary_copies=1)
    assert len(primaries(scene)) == 1
    for number in range(4):
        scene.join(f"late{number}", ("gw", "core", "s"), rate_mbit=100)
    scene.pass_time(75)
    assert len(primaries(scene)) == 2
    first, second = (one.name for one in primaries(scene))
    others = [name for name in (*(f"m{n}" for n in range(4)), *(f"late{n}" for n in range(4)))]
    for name in [name for name in others if name not in (first, second)][: 2 if large else 6]:
        scene.kill(scene[name])
        scene.pass_time(12)
    scene.pass_time(200)  # nothing is improved while the group settles
    assert len(primaries(scene)) == (2 if large else 1)
