"""Local improvement while the group runs: planned next; until then a group keeps the tree that it has."""

from __future__ import annotations

from overlaycast.overlay.group import Group


def step(group: Group, now: float) -> None:
    """Change nothing yet."""
