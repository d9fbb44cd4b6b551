"""The least part of a list that still fails: Zeller and Hildebrandt's ddmin (IEEE TSE 28(2), 2002, figure 3). Pure.

Owns: which part to try next. Refuses: to try anything; ``fails`` does. Invariants: what is returned fails, if the whole
did; leaving out any one item of it was tried and did not fail; nothing is tried twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

_T = TypeVar("_T")


def ddmin(items: Sequence[_T], fails: Callable[[Sequence[_T]], bool]) -> list[_T]:
    """Return a part of ``items``, in their order, that fails and of which no item can be left out.

    Args:
        items: a list that fails.
        fails: whether a part does.
    """
    tried: dict[tuple[int, ...], bool] = {}

    def broken(part: Sequence[int]) -> bool:
        key = tuple(part)
        if key not in tried:
            tried[key] = fails([items[index] for index in key])
        return tried[key]

    kept, pieces = list(range(len(items))), 2
    while len(kept) >= 2:
        parts = _split(kept, pieces)
        smaller = _first_failing(kept, parts, broken)
        if smaller is None:
            if pieces >= len(kept):
                break
            pieces = min(len(kept), 2 * pieces)
            continue
        pieces = 2 if smaller in parts else max(pieces - 1, 2)
        kept = smaller
    return [items[index] for index in kept]


def _split(kept: list[int], pieces: int) -> list[list[int]]:
    edges = [len(kept) * number // pieces for number in range(pieces + 1)]
    return [kept[a:b] for a, b in pairwise(edges) if b > a]


def _first_failing(
    kept: list[int], parts: list[list[int]], broken: Callable[[Sequence[int]], bool]
) -> list[int] | None:
    for part in parts:
        if broken(part):
            return part
    for part in parts:
        rest = [index for index in kept if index not in part]
        if rest and rest not in parts and broken(rest):
            return rest
    return None
