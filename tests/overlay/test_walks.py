"""The rule machine's rules in long seeded walks: cheap, and the same every time."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.overlay.test_machine import Group

Draw = Callable[[random.Random], dict[str, Any]]


def _lie(r: random.Random) -> dict[str, Any]:
    return {"rank": r.randrange(1 << r.randint(1, 63)), "next_seq": r.randrange(1 << r.randint(1, 62))}


RULES: dict[str, Draw] = {
    "join": lambda r: {
        "site": r.randint(1, 4),
        "degree": r.choice([None, 0, 1, 3]),
        "reachable": r.random() < 0.7,
        "dials": r.random() < 0.9,
        "translated": r.random() < 0.4,
    },
    "plant": lambda r: {"site": r.randint(1, 4), "role": r.choice(["relay", "backup"])},
    "crash": lambda r: {"which": r.randint(0, 100)},
    "freeze": lambda r: {"which": r.randint(0, 100), "frozen": r.random() < 0.5},
    "leave": lambda r: {"which": r.randint(0, 100)},
    "lose_control_link": lambda r: {"which": r.randint(0, 100)},
    "regain_control_link": lambda r: {"which": r.randint(0, 100)},
    "break_data_link": lambda r: {"which": r.randint(0, 100)},
    "deliver_some": lambda r: {"which": r.randint(0, 100), "count": r.randint(1, 5)},
    "deliver_all": lambda _: {},
    "look_around": lambda _: {},
    "report": lambda r: {"which": r.randint(0, 100), "share": r.choice([0.0, 0.5, 1.0])},
    "wait": lambda r: {"seconds": r.choice([0.05, 0.5, 2.0, 8.0, 31.0, 70.0])},
    "a_good_second": lambda _: {},
    "garble": lambda r: {
        "which": r.randint(0, 100),
        "how": r.choice(["lost", "doubled", "overtaken"]),
        "ours": r.random() < 0.5,
    },
    "speak_late": lambda r: {"which": r.randint(0, 100), "hoarse": r.random() < 0.5},
    "hear_some": lambda r: {"which": r.randint(0, 100), "count": r.randint(1, 3)},
    "fall_mute": lambda r: {"which": r.randint(0, 100), "mute": r.random() < 0.5},
    "slander": lambda r: {"which": r.randint(0, 100)},
    "build_a_wall": lambda r: {"which": r.randint(0, 100)},
    "restart_the_source": lambda _: {},
    "restart_the_coordinator": lambda r: {"liar": r.randint(0, 100), **_lie(r)},
    "come_back_with_a_lie": lambda r: {"which": r.randint(0, 100), **_lie(r)},
}


@pytest.mark.parametrize("first", range(0, 160, 20))
def test_whatever_happens_the_plan_holds_and_in_the_end_all_are_fed(first: int) -> None:
    for seed in range(first, first + 20):
        walk(seed)


def walk(seed: int) -> None:
    """One group's life; its end asserts that all who can be are fed."""
    rng = random.Random(f"walk {seed}")
    group = Group()
    group.begin(
        degree=rng.randint(1, 4),
        backups=rng.randint(0, 2),
        peers=rng.randint(0, 8),
        at_once=rng.random() < 0.5,
        strategy=rng.choice(["location", "performance", "both"]),
        depth_limit=rng.choice([3, 10]),
    )
    for _ in range(rng.randint(10, 60)):
        name = rng.choice(list(RULES))
        if name == "restart_the_coordinator" and not group.world.group.start.started:
            continue
        getattr(group, name)(**RULES[name](rng))
        group.the_plan_holds()
        group.nobody_feeds_itself()
        group.a_deadline_is_armed()
    group.teardown()
