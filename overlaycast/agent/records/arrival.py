"""What one read from a parent brought. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from overlaycast.wire.frames import (
    Heartbeat,
    Refuse,
)


@dataclass(slots=True)
class Arrival:
    """What one read brought: new records and their payload bytes, doubles, and what was said on the link.

    ``size``: all its bytes, parts of records too; set by who has read them.
    ``first_us`` and ``last_us`` are the source's times of the first and the last new record (0: none).
    ``lost`` has the ranges ``(first, after)`` that the link jumped over and that the ring will therefore never hold.
    """

    records: int = 0
    bytes: int = 0
    duplicates: int = 0
    first_us: int = 0
    last_us: int = 0
    lost: list[tuple[int, int]] = field(default_factory=list)
    said: list[Heartbeat | Refuse] = field(default_factory=list)
    size: int = 0
