"""What hosts can send and receive is learned from reports: of those whom they feed, and of their own."""

from __future__ import annotations

from overlaycast.overlay.mending.repair import LEAF_S
from overlaycast.overlay.state.account import LACKING_S
from overlaycast.overlay.state.tree import check
from overlaycast.overlay.watching import watch
from overlaycast.wire.messages import Leaving
from tests.overlay.scene import Scene, inside, record, restart


def one_site(peers: int, **settings: float) -> Scene:
    """A source that feeds one head, and so many at its site."""
    scene = Scene(start_members=peers, source_out_degree=1, default_out_degree=4, improve_s=0, **settings)
    scene.join("source", ("srv",), "source", rtt_ms=0.2, rate_mbit=1000)
    for number in range(peers):
        scene.join(f"m{number}", ("srv", "core", "S"))
    return scene


def lives(scene: Scene, seconds: float, mbit: dict[str, float]) -> None:
    """Members report each second; these get so little from whomever feeds them."""
    for _ in range(int(seconds)):
        scene.now += 1
        scene.overlay.tick(scene.now)
        for actor in scene.actors.values():
            scene.report(actor, mbit.get(actor.name))
        scene.deliver()


def head(scene: Scene) -> str:
    (name,) = scene.children("source")
    return name


def test_a_host_whose_children_lack_together_gets_fewer() -> None:
    scene = one_site(5, slow_after_s=600)
    lives(scene, 4, {})
    above = head(scene)
    children = scene.children(above)
    assert len(children) == 4
    lives(scene, 8, dict.fromkeys(children, 4.0))
    account = inside(scene).watch.hosts[scene[above].id]
    upper = account.upper(scene.now)
    assert upper is not None
    assert 2 <= upper < 2.5
    for name in children[:2]:
        scene.say(scene[name], Leaving())
        scene.deliver()
    lives(scene, 1, dict.fromkeys(children, 4.0))
    assert record(scene, above).degree == 2
    scene.join("late", ("srv", "core", "S"))
    assert scene.parents()["late"] != above
    lives(scene, LACKING_S + 12, {})
    assert record(scene, above).degree == 4
    assert not inside(scene).watch.hosts


def test_one_child_that_lacks_says_nothing_of_the_host() -> None:
    scene = one_site(9, slow_after_s=600)
    lives(scene, 4, {})
    above = head(scene)
    lives(scene, 20, {scene.children(above)[0]: 1.0})
    assert record(scene, above).degree == 4
    lives(scene, 20, {})
    assert not inside(scene).watch.hosts


def thin(scene: Scene) -> str:
    """Let a forwarder below the head lack wherever it is fed; return it once it has been found thin."""
    name = next(one for one in scene.parents() if scene.children(one) and one not in ("source", head(scene)))
    for _ in range(40):
        lives(scene, 1, {name: 1.0})
        if "thin" in scene.kinds():
            return name
    raise AssertionError("never found")


def test_who_lacks_below_two_parents_feeds_nobody_until_it_is_well() -> None:
    scene = one_site(14)
    lives(scene, 4, {})
    name = thin(scene)
    assert not scene.children(name)
    assert record(scene, name).degree == 0
    assert None not in [above for one, above in scene.parents().items() if one != "source"]
    check(inside(scene).tree, iter(inside(scene).members.values()))
    lives(scene, LEAF_S + 1, {name: 1.0})
    assert record(scene, name).degree == 0
    lives(scene, LEAF_S + 1, {})
    assert record(scene, name).degree == 4


def test_a_restart_makes_its_time_no_longer() -> None:
    scene = one_site(14)
    lives(scene, 4, {})
    name = thin(scene)
    assert record(scene, name).degree == 0
    restart(scene, after=LEAF_S / 2)
    assert record(scene, name).degree == 0
    lives(scene, LEAF_S / 2 + 1, {})
    assert record(scene, name).degree > 0


def test_a_second_one_at_the_same_site_shows_a_thin_uplink_and_stays_as_it_is() -> None:
    scene = one_site(14)
    lives(scene, 4, {})
    first = thin(scene)
    other = next(one for one in scene.parents() if scene.children(one) and one not in ("source", head(scene), first))
    assert watch._site_has_leaf(inside(scene), record(scene, other))
    router, record(scene, other).router = record(scene, other).router, None
    assert not watch._site_has_leaf(inside(scene), record(scene, other))
    record(scene, other).router = router
    lives(scene, 30, {other: 1.0, first: 1.0})
    assert scene.kinds().count("thin") == 1


def test_of_files_nothing_is_learned_so() -> None:
    scene = Scene(mode="file", start_members=4, improve_s=0)
    scene.join("source", ("srv",), "source", rtt_ms=0.2)
    for number in range(4):
        scene.join(f"m{number}", ("srv", "core", "S"))
    lives(scene, 6, {"m1": 1.0, "m2": 1.0})
    assert not inside(scene).watch.hosts
