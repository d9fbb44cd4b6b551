"""Members come and go for months: nothing that the overlay keeps grows with those that have been."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import pytest

from overlaycast.overlay.state import locality
from tests.overlay.scene import Actor, Scene, figure_2a, inside, sound

AT_ONCE: Final = 20
NO_CONTAINER: Final = (str, bytes, int, float, type, type(None))


def sizes(overlay: object) -> dict[str, int]:
    """Return the size of the largest container at each path of attributes that leads from the overlay."""
    found: dict[str, int] = {}
    seen: dict[int, Any] = {}
    ahead: list[tuple[str, Any]] = [("", overlay)]
    while ahead:
        path, one = ahead.pop()
        if isinstance(one, NO_CONTAINER) or id(one) in seen:
            continue
        seen[id(one)] = one
        if isinstance(one, dict | list | tuple | set | frozenset | deque):
            found[path] = max(found.get(path, 0), len(one))
            ahead += [(f"{path}[]", each) for each in one]
            ahead += [(f"{path}{{}}", each) for each in one.values()] if isinstance(one, dict) else []
        elif type(one).__module__.startswith("overlaycast"):
            ahead += [(f"{type(one).__name__}.{name}", getattr(one, name)) for name in attributes(one)]
    return found


def attributes(one: object) -> Iterator[str]:
    slots = [name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
    yield from (name for name in (*slots, *getattr(one, "__dict__", {})) if hasattr(one, name))


def come(scene: Scene, number: int, place: int) -> Actor:
    """Let a member join: traced, traced but for its last router, or not traced at all."""
    path = [("core", f"s{place % 7}", f"r{place}"), ("core", f"s{place % 7}", None), ()][number % 3]
    host = f"2001:db8:{place >> 16:x}:{place & 0xFFFF:x}::{number:x}"
    return scene.join(f"m{number}", path, host=host, rate_mbit=20 + number % 30, hops_ms=(1.0, 2.0, 3.0))


def go(scene: Scene, actor: Actor, number: int) -> None:
    """Let it leave, in one way or another."""
    if number % 2:
        scene.kill(actor)
    scene.overlay.put_out(actor.id, scene.now)
    scene.deliver()
    scene.overlay.forgotten()
    del scene.actors[actor.id]


def churn(scene: Scene, members: int, places: int | None) -> dict[str, int]:
    """Let so many come and go, and return the sizes; ``places``: so many networks there are; None: always a new one."""
    here: list[Actor] = []
    first = len(scene.actors) + 10_000
    for number in range(first, first + members):
        here.append(come(scene, number, number % places if places else number))
        if len(here) > AT_ONCE:
            go(scene, here.pop(number % 7), number)
        if number % 10 == 0:
            scene.pass_time(2.0)
        scene.sent.clear()
        scene.events.clear()
        for actor in here:
            actor.heard.clear()
    while here:
        go(scene, here.pop(), 0)
    scene.pass_time(200.0)
    scene.sent.clear()
    scene.events.clear()
    return sizes(scene.overlay)


@pytest.mark.parametrize(("places", "members"), [(40, 900), (None, 900)])
def test_nothing_grows_with_members_that_have_been(
    monkeypatch: pytest.MonkeyPatch, places: int | None, members: int
) -> None:
    monkeypatch.setattr(locality, "MANY_ROUTERS", 100)
    scene = Scene()
    scene.join("source", ("srv",), "source")
    before = churn(scene, AT_ONCE + 10, places)
    after = churn(scene, members, places)
    bound = 25 * AT_ONCE
    grown = {path: (before.get(path), size) for path, size in after.items() if size > max(before.get(path, 0), bound)}
    assert grown == {}


@pytest.mark.slow
@pytest.mark.parametrize("places", [40, None])
def test_nothing_grows_with_ten_thousand(monkeypatch: pytest.MonkeyPatch, places: int | None) -> None:
    test_nothing_grows_with_members_that_have_been(monkeypatch, places, 10_000)


def test_members_that_stay_are_where_they_were_when_former_ones_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locality, "MANY_ROUTERS", 200)
    scene = figure_2a()
    group = inside(scene)
    parents, keys = scene.parents(), {one.name: one.router.key for one in group.members.values() if one.router}
    version = group.routers.version
    group.routers._most = 200
    for number in range(300):
        go(scene, come(scene, 3 * number, number), 0)
    assert group.routers.version > version
    assert len(group.routers.known) < 200
    assert scene.parents() == parents
    assert {one.name: one.router.key for one in group.members.values() if one.router} == keys
    sound(group)
