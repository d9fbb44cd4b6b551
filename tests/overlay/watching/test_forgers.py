"""Forwarders of forged files, and children that lie about them."""

from __future__ import annotations

import json

from overlaycast.overlay import Overlay
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.tree import check
from overlaycast.overlay.watching import forgers
from tests.overlay.scene import KEY, Actor, Scene, inside


def two_sites(**more: str) -> Scene:
    """A file group of two sites; nobody has more than three children."""
    scene = Scene(mode="file", default_out_degree=3, source_out_degree=4, start_members=12, improve_s=0)
    scene.join("source", ("srv",), "source", rtt_ms=0.2, rate_mbit=1000)
    for number in range(12):
        scene.join(f"m{number}", ("srv", "core", f"site {number % 2}"), host=more.get(f"m{number}"))
    scene.pass_time(6)
    return scene


def record(scene: Scene, actor: Actor) -> Member:
    return inside(scene).members[actor.id]


def forger(scene: Scene) -> Actor:
    """Return a forwarder with at least two children."""
    return next(one for one in scene.actors.values() if one.role == "peer" and len(scene.children(one.name)) > 1)


def damaged(scene: Scene, child: Actor) -> None:
    scene.complain(child, reason="damaged")
    scene.deliver()
    scene.pass_time(2)


def named(scene: Scene, one: Actor) -> bool:
    """Whether anybody has it for a parent, a standby or a fallback."""
    mine = record(scene, one)
    return any(mine in (other.parent, *other.standbys, *other.fallbacks) for other in inside(scene).members.values())


def test_two_children_convict_and_the_branch_moves_away() -> None:
    scene = two_sites()
    bad = forger(scene)
    one, other = (scene[name] for name in scene.children(bad.name)[:2])
    damaged(scene, one)
    assert scene.parents()[one.name] != bad.name
    assert scene.parents()[other.name] == bad.name
    assert "forger" not in scene.kinds()
    damaged(scene, other)
    assert "forger" in scene.kinds()
    assert not named(scene, bad)
    assert scene.parents()[bad.name] is not None
    assert record(scene, bad).spare <= 0
    assert None not in [above for name, above in scene.parents().items() if name != "source"]
    check(inside(scene).tree, iter(inside(scene).members.values()))
    scene.pass_time(600)
    assert not named(scene, bad)
    kept = json.loads(json.dumps(scene.overlay.snapshot()))
    again = Overlay.restore(scene.settings, KEY, kept, scene.now)
    assert again._group.members[bad.id].degree == 0
    assert again._group.timers.armed("leaf", bad.id)
    scene.pass_time(forgers.SHUNNED_S)
    assert record(scene, bad).degree == 3
    assert not inside(scene).repair.leaves


def test_one_liar_shuns_nobody_and_is_believed_no_more() -> None:
    scene = two_sites()
    group = inside(scene)
    liar = scene[next(name for name, above in scene.parents().items() if above and not scene.children(name))]
    accused = set()
    for _ in range(8):
        accused.add(scene.parents()[liar.name])
        damaged(scene, liar)
        damaged(scene, liar)
    assert len(accused) > forgers.CREDIT
    assert not group.repair.leaves
    assert sum(bool(heard) for heard in group.watch.accusations.values()) == forgers.CREDIT
    assert scene.parents()[liar.name] is not None
    honest = next(
        one
        for one in group.members.values()
        if one.children and one.role == "peer" and not group.watch.accusations.get(one.id)
    )
    victim = honest.children[0]
    damaged(scene, scene.actors[victim.id])
    assert not group.repair.leaves  # the liar's words about others prove nothing about this one


def test_members_of_one_host_are_one_witness() -> None:
    scene = two_sites(**{f"m{number}": "10.9.0.1" for number in range(12)})
    bad = forger(scene)
    for name in scene.children(bad.name)[:2]:
        damaged(scene, scene[name])
    assert "forger" not in scene.kinds()


def test_witnesses_are_told_apart_by_the_address_that_is_seen() -> None:
    for seen, convicted in (
        (("2001:db8::1", "2001:db8::2"), False),
        (("2001:db8::1", "2001:db8:0:1::1"), True),
        (("192.0.2.1", "192.0.2.1"), False),
        (("192.0.2.1", "192.0.2.2"), True),
        (("one.example", "one.example"), False),
    ):
        scene = two_sites()  # each claims an address of its own
        bad = forger(scene)
        children = [scene[name] for name in scene.children(bad.name)[:2]]
        for child, address in zip(children, seen, strict=True):
            record(scene, child).seen = address
        for child in children:
            damaged(scene, child)
        assert ("forger" in scene.kinds()) == convicted


def test_of_a_live_stream_nobody_can_say_that_it_is_forged() -> None:
    scene = two_sites()
    scene.overlay._group.settings = scene.settings.model_copy(update={"mode": "live"})
    bad = forger(scene)
    for name in scene.children(bad.name)[:2]:
        damaged(scene, scene[name])
    assert "forger" not in scene.kinds()
    assert "not-receiving" in scene.kinds()
    assert not inside(scene).watch.accusations


def test_witnesses_long_ago_and_words_about_strangers_do_not_count() -> None:
    scene = two_sites()
    bad = forger(scene)
    one, other = (scene[name] for name in scene.children(bad.name)[:2])
    stranger = next(actor for actor in scene.actors.values() if not named(scene, actor))
    before = other.parent
    other.parent = stranger.id
    scene.complain(other, reason="damaged")
    other.parent = before
    assert not inside(scene).watch.accusations
    damaged(scene, one)
    scene.now += forgers.MEMORY_S + 1
    damaged(scene, other)
    assert "forger" not in scene.kinds()


def test_the_source_is_never_convicted() -> None:
    scene = two_sites()
    for name in scene.children("source")[:2]:
        damaged(scene, scene[name])
    assert not inside(scene).repair.leaves
    assert not inside(scene).watch.accusations
