"""How one direction of a link behaves: rate, delay, loss, queue. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

from overlaycast.errors import ConfigError

MTU: Final = 1500


FRAME_BYTES: Final = MTU + 14


QUEUE_MS: Final = 50.0
"""Default depth of a queue: what the link sends in this time. Some routers hold more; live streams suffer from it."""


LEAST_QUEUE_BYTES: Final = 32 * FRAME_BYTES


_LIMITS: Final[dict[str, tuple[float, float, str]]] = {
    "rate_mbit": (0.01, 100_000.0, "Mbit/s"),
    "delay_ms": (0.0, 60_000.0, "ms"),
    "jitter_ms": (0.0, 60_000.0, "ms"),
    "loss": (0.0, 1.0, "a probability"),
    "duplicate": (0.0, 1.0, "a probability"),
    "queue_bytes": (FRAME_BYTES, 1 << 30, "bytes"),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What one direction of a link does to frames.

    Attributes:
        rate_mbit: Mbit/s of Ethernet frames (without preamble and gap); None is unlimited.
        delay_ms: propagation, after the queue.
        jitter_ms: each frame is delayed by up to this much more or less, uniformly; order is kept.
        loss: probability that a frame vanishes before the queue.
        duplicate: probability that a frame is sent twice.
        queue_bytes: what waits for the rate at most, then frames are dropped at the tail; None is ``QUEUE_MS`` of rate.
    """

    rate_mbit: float | None = None
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    queue_bytes: int | None = None

    @property
    def impaired(self) -> bool:
        """True where a plain rate limit is not enough."""
        return bool(self.delay_ms or self.jitter_ms or self.loss or self.duplicate)

    @property
    def queue(self) -> int:
        """Bytes that wait at most; meaningful only with a rate."""
        if self.queue_bytes is not None:
            return self.queue_bytes
        return max(LEAST_QUEUE_BYTES, int((self.rate_mbit or 0.0) * 125.0 * QUEUE_MS))

    def as_dict(self) -> dict[str, Any]:
        """What is asked, without what is not."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value}


def shape(where: str, **wishes: Any) -> Shape:
    """Return a checked shape.

    Args:
        where: what an error names, such as ``topologies/x.py: link a-b``.
        wishes: the fields of ``Shape``; None counts as not asked.

    Raises:
        ConfigError: an unknown field, a value that is no number or out of bounds, jitter beyond the delay.
    """
    known = {name: value for name, value in wishes.items() if value is not None}
    for name, value in known.items():
        if name not in _LIMITS:
            raise ConfigError(f"{where}: unknown field {name!r}; accepted: {', '.join(_LIMITS)}")
        low, high, unit = _LIMITS[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high:
            raise ConfigError(f"{where}: {name} is {value!r}; accepted: {low:g} to {high:g}, {unit}")
    made = Shape(**{**known, **({"queue_bytes": int(known["queue_bytes"])} if "queue_bytes" in known else {})})
    if made.jitter_ms > made.delay_ms:
        raise ConfigError(f"{where}: jitter_ms is {made.jitter_ms:g}; accepted: at most delay_ms ({made.delay_ms:g})")
    return made
