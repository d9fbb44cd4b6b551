"""Makes the overlay of a group. The only module of the coordinator that imports ``overlay``."""

from __future__ import annotations

from typing import Any

from overlaycast.coordinator.groups.protocol import GroupOverlay
from overlaycast.overlay.overlay import Overlay
from overlaycast.overlay.state.measurement import Measurement
from overlaycast.wire.group import GroupSettings


class Overlays:
    """Makes an ``Overlay`` per group; ``allow_local``: members may dial one another at loopback and the like."""

    def __init__(self, allow_local: bool) -> None:
        self._allow_local = allow_local

    def new(self, settings: GroupSettings, key: bytes) -> GroupOverlay:
        """Return the overlay of a new group; ``key`` (32 secret bytes) makes its grants."""
        return Overlay(settings, key, self._allow_local)

    def restore(self, settings: GroupSettings, key: bytes, snapshot: dict[str, Any], now: float) -> GroupOverlay:
        """Return the overlay that wrote ``snapshot``, at ``now``."""
        return Overlay.restore(settings, key, snapshot, now, self._allow_local)

    def measurement(
        self,
        path: tuple[str | None, ...],
        hops_ms: tuple[float | None, ...],
        rtt_ms: float | None,
        rate_mbit: float | None,
        reached: bool,
        rated: bool,
    ) -> Measurement:
        """Return what was found out about a member in the overlay's own form."""
        return Measurement(path, rtt_ms, rate_mbit, hops_ms, reached, rated)
