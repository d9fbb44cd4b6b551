"""Whom a fault hits."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.errors import LabError
from overlaycast.lab.faults import targets
from overlaycast.lab.faults.targets import ANOTHER, BACKUP, PRIMARY
from overlaycast.lab.faults.tree import Seat, Tree
from tests.lab import made_up


def figure_2a() -> Tree:
    """Return the made-up tree."""
    _, cast, network = made_up.experiment()
    return made_up.tree(made_up.START, cast, network, 1)


def resolve(target: str, tree: Tree, gone: Mapping[str, str | None]) -> str:
    """Return the only host that an expression means."""
    [host] = targets.resolve(target, tree, gone, Random(1))
    return host


def test_largest_branch() -> None:
    assert resolve(PRIMARY, figure_2a(), {}) == "202a"


def test_another_forwarder_sits_elsewhere() -> None:
    assert resolve(ANOTHER, figure_2a(), {"202a": "north"}) == "202g"


def test_another_forwarder_of_the_same_site_if_there_is_no_other() -> None:
    gone = {"202a": "north", "202g": "east", "202j": "south", "202l": "west"}
    assert resolve(ANOTHER, figure_2a(), gone) == "202d"


def test_forwarder_of_a_site() -> None:
    assert resolve("forwarder-of:west", figure_2a(), {}) == "202l"


def test_backup_and_host() -> None:
    assert resolve(BACKUP, figure_2a(), {}) == "backup"
    assert resolve("202m", figure_2a(), {}) == "202m"


def test_several_hosts() -> None:
    assert targets.resolve("202m,202a, 202m", figure_2a(), {}, Random(1)) == ("202m", "202a")
    assert targets.complaint("202m, 202a", ["202a", "202m"], []) is None
    assert str(targets.complaint("202m, 202z", ["202a", "202m"], [])).startswith(
        "no host '202z'; accepted: a host's name"
    )


def test_no_member_fits() -> None:
    with pytest.raises(LabError, match="no member fits"):
        resolve("forwarder-of:west", figure_2a(), {"202l": "west"})


def test_a_torn_tree_does_not_hang() -> None:
    torn = Tree(1, (Seat(1, "a", "peer", None, 2), Seat(2, "b", "peer", None, 1)))
    assert [seat.host for seat in torn.branch(1)] == ["b"]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=10))
def test_branches_cover_what_hangs_below(parents: list[int]) -> None:
    seats = [Seat(0, "m0", "source", None, None)]
    for number, parent in enumerate(parents, 1):
        seats.append(Seat(number, f"m{number}", "peer", None, parent % number))
    tree = Tree(1, tuple(seats))
    assert {seat.id for seat in tree.branch(0)} == set(range(1, len(seats)))
    below = {seat.id: {one.id for one in tree.branch(seat.id)} for seat in seats}
    for seat in seats[1:]:
        assert seat.parent is not None
        assert {seat.id} | below[seat.id] <= below[seat.parent]
