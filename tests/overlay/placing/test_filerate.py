"""How fast a file can go to sites of different rates: the plan, and the trees that placement makes by it."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.overlay.placing import placement
from overlaycast.overlay.plan import capacity
from overlaycast.overlay.state.filerate import plan, share
from tests.overlay.scene import Scene, inside, record

RATES = st.sampled_from([1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 100.0])


def rates_of(feeders: Sequence[int], mbit: Sequence[float]) -> list[float]:
    """Return what each site receives, given its parent (site 0: the source's) and the rate of every uplink both ways.

    Children share an uplink evenly, and who wants less leaves the rest to the others.
    """
    got = [math.inf] * len(mbit)
    row = [0]
    for site in row:
        left = mbit[site]
        below = sorted((child for child in range(1, len(mbit)) if feeders[child] == site), key=lambda one: mbit[one])
        for index, child in enumerate(below):
            got[child] = min(mbit[child], got[site], left / (len(below) - index))
            left -= got[child]
        row += below
    return got[1:]


def slowest(feeders: Sequence[int], mbit: Sequence[float]) -> float:
    """Return the least that a site gets which could take more; if all get what they can, the fastest of them."""
    got = rates_of(feeders, mbit)
    held_up = [rate for rate, own in zip(got, mbit[1:], strict=True) if rate < min(own, mbit[0]) * (1 - 1e-9)]
    return min(held_up, default=max(got))


def trees(sites: int, levels: int) -> list[tuple[int, ...]]:
    """Return every tree of so many sites below the source, as each one's parent."""
    return [tree for tree in itertools.product(range(sites + 1), repeat=sites + 1) if _is_tree(tree, levels)]


def _is_tree(tree: tuple[int, ...], levels: int) -> bool:
    def deep(site: int, left: int) -> bool:
        return site == 0 or (left > 0 and deep(tree[site], left - 1))

    return tree[0] == 0 and all(deep(site, levels) for site in range(1, len(tree)))


def sites(source: float, *mbit: float | None, each: int = 2, start: bool = True, depth_limit: int = 10) -> Scene:
    """A file group: the source behind an uplink of its own, and sites with so many members each."""
    expected = len(mbit) * each if start else 1
    scene = Scene(mode="file", rate_mbit=0.1, start_members=expected, improve_s=0, depth_limit=depth_limit)
    scene.join("source", ("core", "head"), "source", rate_mbit=source, upload_mbit=source)
    for number, rate in enumerate(mbit, 1):
        for member in range(each):
            scene.join(f"s{number}_{member}", ("core", f"site {number}"), rate_mbit=rate)
    return scene


def feeders_of(scene: Scene, count: int) -> list[int]:
    """Return per site the one that feeds it; each is fed once."""
    assert scene.overlay.counters().waiting == 0
    found = [0] * (count + 1)
    entered: list[int] = []
    for name, parent in scene.parents().items():
        if parent is None:
            assert name == "source"
            continue
        site, above = (0 if one == "source" else int(one[1 : one.index("_")]) for one in (name, parent))
        if site != above:
            found[site] = above
            entered.append(site)
    assert sorted(entered) == list(range(1, count + 1))
    return found


CHAIN = [0, 0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("mbit", [(20.0,) * 6, (17.0, 20.0, 18.5, 16.5, 19.0, 20.0), (None,) * 6])
def test_sites_that_are_alike_or_unknown_form_a_chain(mbit: tuple[float | None, ...]) -> None:
    assert feeders_of(sites(20, *mbit), 6) == CHAIN


def test_a_thin_site_is_a_leaf_and_slows_nobody_down() -> None:
    mbit = (20.0, 20.0, 20.0, 20.0, 2.0, 20.0)
    feeders = feeders_of(sites(*mbit), 5)
    assert 4 not in feeders
    assert rates_of(feeders, mbit) == list(mbit[1:])


def test_thin_sites_feed_one_another() -> None:
    mbit = (20.0, 2.0, 20.0, 1.9, 2.0, 20.0)
    assert rates_of(feeders_of(sites(*mbit), 5), mbit) == pytest.approx(mbit[1:], rel=0.06)


def test_a_fat_site_feeds_several() -> None:
    assert feeders_of(sites(20, 20, 20, 100, 20), 4) == [0, 3, 3, 0, 3]


def test_a_thin_site_with_many_members_comes_late_all_the_same() -> None:
    scene = Scene(mode="file", start_members=8, improve_s=0)
    scene.join("source", ("core", "head"), "source", upload_mbit=20)
    for number, (rate, members) in enumerate([(2, 5), (20, 2), (20, 1)], 1):
        for member in range(members):
            scene.join(f"s{number}_{member}", ("core", f"site {number}"), rate_mbit=rate)
    assert feeders_of(scene, 3) == [0, 3, 0, 2]


def test_placement_against_the_best_of_all_trees(capsys: pytest.CaptureFixture[str]) -> None:
    known: dict[int, list[tuple[int, ...]]] = {}
    shares = []
    for seed in range(120):
        rng = random.Random(seed)
        count = 5 if seed % 12 == 0 else rng.randint(2, 4)
        mbit = [float(rng.choice([2, 5, 10, 20, 50, 100])) for _ in range(count + 1)]
        best = max(slowest(tree, mbit) for tree in known.setdefault(count, trees(count, count)))
        shares.append(slowest(feeders_of(sites(*mbit), count), mbit) / best)
    with capsys.disabled():
        print(f"\n  slowest rate of the best tree's: least {min(shares):.2f}, mean {sum(shares) / len(shares):.3f}")
    assert sum(share >= 0.95 for share in shares) >= 0.95 * len(shares)


def test_a_fast_site_that_comes_late_is_fed_beside_a_thin_one() -> None:
    mbit = (20.0, 20.0, 2.0, 20.0)
    scene = sites(*mbit, start=False)
    feeders = feeders_of(scene, 3)
    assert feeders[1:3] == [0, 1]
    assert feeders[3] == 1  # whose other child takes 2 of its 20 Mbit/s
    assert slowest(feeders, mbit) >= 18


def test_in_a_group_too_large_to_look_at_everybody_a_fast_site_is_fed_by_a_thin_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(placement, "SCAN_LIMIT", 0)
    assert feeders_of(sites(20, 20, 2, 20, start=False), 3) == [0, 0, 1, 2]


def test_a_copy_within_a_site_slows_nobody_down() -> None:
    scene = sites(20, 20, 2)
    member = record(scene, "s2_0")
    assert capacity.slowed(inside(scene), member, member.router) == 0


def test_a_source_thinner_than_a_stream_sends_a_file_all_the_same() -> None:
    scene = Scene(mode="file", rate_mbit=8, start_members=2)
    scene.join("source", ("core", "head"), "source", upload_mbit=3)
    scene.join("s1_0", ("core", "site 1"), rate_mbit=20)
    scene.join("s2_0", ("core", "site 2"), rate_mbit=20)
    assert feeders_of(scene, 2) == [0, 0, 1]


@given(st.floats(0.5, 1000), st.integers(1, 200), st.integers(1, 8))
def test_the_rate_of_sites_that_are_alike_is_divided_only_for_the_depth(rate: float, count: int, levels: int) -> None:
    found = plan(rate, [rate] * count, levels)

    def fed(copies: int) -> int:
        return sum(copies**level for level in range(1, levels + 1))

    assert fed(found.divided) >= count
    assert found.divided == 1 or fed(found.divided - 1) < count
    assert found.copies(rate) == found.divided


@given(RATES, st.lists(RATES, min_size=1, max_size=12), st.integers(1, 8))
def test_a_plan_promises_no_more_than_there_is_and_thin_sites_do_not_lower_it(
    source: float, mbit: list[float], levels: int
) -> None:
    found = plan(source, mbit, levels)
    assert found.planned_mbit * found.divided == pytest.approx(min(source, max(mbit)))
    if len(mbit) < levels:
        assert found.planned_mbit == min(source, max(mbit))
        assert plan(source, [*mbit, min(mbit) / 10], levels) == found


@given(RATES, st.lists(RATES, max_size=6))
def test_one_more_copy_gets_what_is_left_and_no_less_than_its_share(uplink: float, wanted: list[float]) -> None:
    got = share(uplink, wanted)
    assert got >= uplink / (len(wanted) + 1) - 1e-9
    assert got == pytest.approx(max(got, uplink - sum(wanted)))
