"""The part of an upload rate that one child's connection may use. Pure."""

from __future__ import annotations

from typing import Final

PAYLOAD: Final = 0.95
"""Part of an upload that carries our bytes; the rest is headers."""


def share_of(upload_mbit: float, children: int) -> int:
    """Return the bytes a second that each of so many fed children may be sent."""
    return int(PAYLOAD * upload_mbit * 125_000 / max(1, children))
