"""Which grants two members get, and whether they are told to prove them or to show them."""

from __future__ import annotations

import json

import pytest

from overlaycast.overlay import Overlay
from overlaycast.overlay.plan.orders import grant, spoken
from overlaycast.overlay.state.members import Member
from overlaycast.wire.frames import SHOWN, VERSION
from overlaycast.wire.messages import Accept, Peer
from tests.overlay.scene import KEY, Scene


def pair(parent: int | None, child: int | None) -> tuple[Scene, Accept, Peer]:
    """A source and its child, whose programs speak these versions; what each of the two was told of the other."""
    scene = Scene(start_members=1)
    scene.join("source", ("srv",), "source", data_version=parent)
    scene.join("ann", ("srv", "a"), data_version=child)
    told = next(m for to, m in scene.sent if isinstance(m, Accept) and to == scene["source"].id)
    order = scene["ann"].order
    assert order is not None
    assert order.parent is not None
    return scene, told, order.parent


@pytest.mark.parametrize(
    ("parent", "child", "version"),
    [
        (None, None, None),
        (None, VERSION, None),
        (VERSION, None, None),
        (1, VERSION, None),
        (VERSION, VERSION, VERSION),
        (VERSION + 1, VERSION + 9, VERSION),
    ],
)
def test_both_ends_are_told_the_newest_link_that_both_speak(
    parent: int | None, child: int | None, version: int | None
) -> None:
    _, told, order = pair(parent, child)
    assert (told.data_version, order.data_version) == (version, version)
    assert told.grant == order.grant


def test_a_grant_that_is_to_be_proven_is_none_that_was_ever_shown() -> None:
    """A member of an older program may have shown the older grant of the same pair on the wire."""
    scene, told, _ = pair(VERSION, VERSION)
    group = scene.overlay._group
    source, ann = (group.members[scene[name].id] for name in ("source", "ann"))
    assert grant(group, source, ann) == told.grant
    ann.data_version = SHOWN
    assert spoken(source, ann) is None
    assert grant(group, source, ann) != told.grant


def test_what_members_speak_outlives_the_coordinator_and_stays_as_long_as_they_are_members() -> None:
    scene, told, _ = pair(VERSION, VERSION)
    kept = json.loads(json.dumps(scene.overlay.snapshot()))
    again = Overlay.restore(scene.overlay._group.settings, KEY, kept, scene.now)
    found = again._group.members
    assert [member.data_version for member in found.values()] == [VERSION, VERSION]
    assert grant(again._group, found[scene["source"].id], found[scene["ann"].id]) == told.grant
    scene.overlay.disconnected(scene["ann"].id, scene.now)
    assert scene.resume(scene["ann"])  # it says no version: the grants of its links stay what they are
    assert scene.overlay._group.members[scene["ann"].id].data_version == VERSION
    for member in kept["members"]:
        del member["data_version"]
    before = Overlay.restore(scene.overlay._group.settings, KEY, kept, scene.now)
    assert [member.data_version for member in before._group.members.values()] == [SHOWN, SHOWN]


def test_a_member_of_which_nothing_is_said_shows_its_grants() -> None:
    assert Member(1, "m", "peer").data_version == SHOWN
