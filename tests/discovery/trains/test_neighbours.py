"""Whose echoes cross the network at the same time, and whose do not."""

from __future__ import annotations

from overlaycast.discovery.trains.neighbours import neighbours

NORTH = ("RS", "core1", "B", "A")
NORTH_TOO = ("RS", "core1", "B", "B2")
EAST = ("RS", "core1", "C", "C1")


def test_those_behind_one_uplink_are_neighbours() -> None:
    assert neighbours(NORTH, NORTH_TOO)
    assert neighbours(NORTH, NORTH)
    assert not neighbours(NORTH, EAST)
    assert neighbours((), ())
    assert not neighbours((), NORTH)


def test_one_of_which_little_is_known_is_not_everybodys_neighbour() -> None:
    gaps = ("RS", None, None, None)
    assert not neighbours(gaps, NORTH)
    assert not neighbours((None, None, None, None), NORTH)
    assert neighbours(gaps, gaps), "they may be behind the same routers"
    assert neighbours((None, "core1", "B", None), NORTH)
