"""What uplinks are seen to carry: by property, and in a group whose members report."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from overlaycast.overlay.plan.capacity import uplink_copies
from overlaycast.overlay.state.account import LACKING_S, PROVEN_S, Account
from overlaycast.overlay.state.carried import account
from tests.overlay.scene import Scene

SHARES = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 4)), max_size=8)
WINDOW_S = 1.2


def window(kept: Account, heard: list[tuple[float, int]], now: float) -> None:
    for receiver, (share, end) in enumerate(heard):
        kept.hear(receiver, share, end, share < 0.8)
    kept.turn(WINDOW_S, now)


@given(st.lists(SHARES, max_size=12))
def test_never_more_is_proven_than_was_carried_well_nor_less_allowed_than_crossed(
    windows: list[list[tuple[float, int]]],
) -> None:
    kept, most_well = Account(0.0), 0
    for number, heard in enumerate(windows, 1):
        now = number * 2.0
        before = kept.upper(now)
        window(kept, heard, now)
        well = all(share >= 0.8 for share, _ in heard)
        most_well = max(most_well, len(heard) if well else 0)
        assert kept.lower(now) <= most_well
        found = kept.upper(now)
        if found is not None and found != before:
            assert abs(found - sum(share for share, _ in heard)) < 1e-9
            assert kept.lower(now) <= found
        if well and found is not None:
            assert len(heard) <= found


@given(st.lists(st.floats(0, 1), max_size=8), st.integers(1, 9))
def test_one_far_end_alone_says_nothing_of_the_uplink(shares: list[float], windows: int) -> None:
    kept = Account(0.0)
    for number in range(windows):
        window(kept, [(share, 1) for share in shares], 2.0 + 2 * number)
    assert kept.upper(2.0 * windows) is None


def test_it_takes_two_windows_and_runs_out() -> None:
    kept = Account(0.0)
    three = [(0.6, 1), (0.7, 2), (0.8, 2)]
    window(kept, [(1.0, 1), (1.0, 2)], 2)
    assert (kept.lower(2), kept.upper(2)) == (2, None)
    window(kept, [(0.6, 1), (0.7, 2), (0.7, 3)], 4)
    assert kept.upper(4) is None
    window(kept, three, 6)  # one of three is well: not together
    window(kept, [(0.6, 1), (0.7, 2), (0.7, 3)], 8)
    assert kept.upper(8) is None
    window(kept, [(0.5, 1), (0.5, 2), (0.7, 3)], 10)
    assert (kept.lower(10), kept.upper(10)) == (1, 1.7)
    assert kept.upper(10 + LACKING_S) == 1.7
    assert kept.upper(11 + LACKING_S) is None
    assert kept.lower(3 + PROVEN_S) == 0
    window(kept, [(1.0, 1), (1.0, 2)], 12)
    assert (kept.lower(12), kept.upper(12)) == (2, None)  # it does carry two after all
    kept.hear(1, 0.1, 1, True)
    kept.hear(2, 0.1, 2, True)
    kept.turn(WINDOW_S, 500)  # said long ago
    assert (kept.lacking, kept.heard) == (0, {})


def three_sites() -> Scene:
    """A forwarder alone at its site, whose uplink shows room for everything, feeds two other sites."""
    scene = Scene(start_members=3, rate_mbit=8, source_out_degree=1, default_out_degree=4, improve_s=0)
    scene.join("source", ("srv",), "source", rate_mbit=300)
    for name in ("ann", "bob", "cat"):
        scene.join(name, ("srv", "core", f"site {name}"), rate_mbit=300)
    return scene


def lives(scene: Scene, seconds: int, mbit: dict[str, float]) -> None:
    for _ in range(seconds):
        for actor in scene.actors.values():
            scene.report(actor, mbit.get(actor.name))
        scene.now += 1
        scene.overlay.tick(scene.now)
        scene.deliver()


def test_children_that_lack_together_show_a_thin_uplink_and_others_are_fed_elsewhere() -> None:
    scene = three_sites()
    head = scene.children("source")[0]
    lower = [name for name in ("ann", "bob", "cat") if name != head]
    assert scene.children(head) == lower
    lives(scene, 4, {})
    group = scene.overlay._group
    router = group.members[scene[head].id].router
    assert router is not None
    kept = account(group, router, "out")
    assert kept is not None
    assert kept.lower(scene.now) == 2
    lives(scene, 5, dict.fromkeys(lower, 2.0))
    assert kept.upper(scene.now) is not None
    assert uplink_copies(group, router) == 1
    scene.join("dan", ("srv", "core", "site dan"), rate_mbit=300)
    assert scene.parents()["dan"] in lower
    lives(scene, 30, {})  # it carries both again
    assert uplink_copies(group, router) >= 2


def test_who_gets_little_gives_little_and_that_says_nothing_of_its_uplink() -> None:
    scene = three_sites()
    head = scene.children("source")[0]
    group = scene.overlay._group
    router = group.members[scene[head].id].router
    assert router is not None
    lives(scene, 6, dict.fromkeys(("ann", "bob", "cat"), 5.0))
    kept = account(group, router, "out")
    assert kept is None or kept.upper(scene.now) is None
