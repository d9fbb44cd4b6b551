"""A snapshot that an earlier release has stored is still read: same tree, same sentences, and nobody is moved.

``snapshots/version-1.json`` was made before the state was divided by process: Figure 2A after a death, with a pair that
is kept apart, a member that feeds nobody for a while, and a late member behind a silent router.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from overlaycast.errors import LocalProtocolError
from overlaycast.overlay import Overlay
from overlaycast.overlay.state.tree import check
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Address, Assign, Resume, Subscribe

KEPT: dict[str, Any] = json.loads((Path(__file__).parent / "snapshots" / "version-1.json").read_text())


def restored() -> Overlay:
    return Overlay.restore(GroupSettings(**KEPT["settings"]), bytes(range(32)), KEPT["snapshot"], KEPT["now"] + 5)


def test_a_snapshot_of_an_earlier_release_gives_the_same_tree() -> None:
    overlay = restored()
    tree = overlay.tree().model_dump(mode="json")
    known = KEPT["tree"]["members"]
    tree["members"] = [{name: one[name] for name in before} for one, before in zip(tree["members"], known, strict=True)]
    assert {name: tree[name] for name in KEPT["tree"]} == KEPT["tree"]
    check(overlay._group.tree, iter(overlay._group.members.values()))


def test_a_broken_tree_is_not_kept() -> None:
    overlay = restored()
    child = next(member for member in overlay._group.members.values() if member.parent is not None)
    child.rank = 0
    with pytest.raises(LocalProtocolError, match="rank"):
        overlay.snapshot()


def test_what_was_decided_for_a_stated_time_goes_on() -> None:
    group = restored()._group
    (leaf,) = group.repair.leaves
    assert leaf in {one["id"] for one in KEPT["tree"]["members"]}
    assert any(member.barred for member in group.members.values())
    assert all(group.timers.pending(kind) for kind in ("leaf", "unusable-pair"))


def test_what_is_stored_again_is_what_was_read() -> None:
    again = json.loads(json.dumps(restored().snapshot()))
    before = KEPT["snapshot"]
    again["members"] = [
        {name: one[name] for name in known} for one, known in zip(again["members"], before["members"], strict=True)
    ]
    assert ["rift", *before["timers"][1][1:]] == before["timers"][1]  # by its earlier name
    again["places"] = [row[: len(known)] for row, known in zip(again["places"], before["places"], strict=True)]
    renamed = [before["timers"][0], ["unusable-pair", *before["timers"][1][1:]]]
    # what is new beside it was not known then
    assert {name: again[name] for name in before} == {**before, "timers": renamed}


def test_nobody_is_moved_when_all_come_back() -> None:
    overlay = restored()
    now = KEPT["now"] + 6
    for kept in KEPT["snapshot"]["members"]:
        parent, rank = (kept["parent"] or None), kept["rank"]
        resume = Resume(
            member=kept["id"],
            secret="s" * 16,
            epoch=KEPT["snapshot"]["epoch"],
            rank=rank,
            parent=parent,
            next_seq=kept["next_seq"],
        )
        request = Subscribe(
            version=2,
            group="g",
            token="t",
            name=kept["name"],
            role=kept["role"],
            addresses=tuple(Address(host=host, port=port) for host, port in kept["addresses"]),
            resume=resume,
        )
        assert overlay.resume(request, now)
    parents = {one["id"]: one["parent"] for one in KEPT["tree"]["members"]}
    orders = [(member, message) for member, message in overlay.messages_to_send() if isinstance(message, Assign)]
    assert orders
    assert all(parents[member] == (order.parent.member if order.parent else None) for member, order in orders)
