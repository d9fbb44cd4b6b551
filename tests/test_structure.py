"""The rooms of the package: no module and no room imports in a circle."""

from __future__ import annotations

import networkx
import pytest

from scripts.structure import circles, imports, longest, room_of, rooms
from tests.lab.made_up import ROOT

MODULES = imports()


@pytest.mark.parametrize("graph", [MODULES, rooms(MODULES)], ids=["modules", "rooms"])
def test_nothing_imports_in_a_circle(graph: networkx.DiGraph[str]) -> None:
    assert circles(graph) == []


def test_a_circle_is_found() -> None:
    graph: networkx.DiGraph[str] = networkx.DiGraph([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")])
    assert circles(graph) == [["a", "b", "c"]]


def test_modules_are_in_their_rooms() -> None:
    assert room_of("overlaycast.lab.run.members") == "overlaycast.lab.run"
    assert room_of("overlaycast.lab.run") == "overlaycast.lab.run"
    assert len(MODULES) > 250
    assert longest(ROOT / "overlaycast" / "wire")["file"].lines > 100
