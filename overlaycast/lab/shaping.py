"""How a link is asked to behave, and which means can do it. Pure.

Owns: ``Shape`` (one direction of a link), the choice of the means per link, the text of tc commands and the
reading of what tc says back. Refuses: values that no means can honour, by ``ConfigError``.

Invariants: both directions of a link use the same means; a delay, jitter, loss or duplication is never given
to the kernel's ``tbf``, which knows none of them; a link that may change while it runs gets a means that can
change everything.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

from overlaycast.errors import ConfigError

Means = Literal["netem", "wire", "tbf", "none"]
"""netem: the kernel's emulator. wire: our own TAP wire (tapwire.py). tbf: the kernel's rate limit alone. none: bare."""

MTU: Final = 1500
FRAME_BYTES: Final = MTU + 14
QUEUE_MS: Final = 50.0
"""Default depth of a queue: what the link sends in this time. Some routers hold more; live streams suffer from it."""
LEAST_QUEUE_BYTES: Final = 32 * FRAME_BYTES
SLOW_MBIT: Final = 200.0
"""Below this rate the sender's segmentation offload is off, so that a rate or a loss acts on packets, not on 64 KiB."""

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


def shape(place: str, **wishes: Any) -> Shape:
    """Return a checked shape.

    Args:
        place: what an error names, such as ``topologies/x.py: link a-b``.
        wishes: the fields of ``Shape``; None counts as not asked.

    Raises:
        ConfigError: an unknown field, a value that is no number or out of bounds, jitter beyond the delay.
    """
    known = {name: value for name, value in wishes.items() if value is not None}
    for name, value in known.items():
        if name not in _LIMITS:
            raise ConfigError(f"{place}: unknown field {name!r}; accepted: {', '.join(_LIMITS)}")
        low, high, unit = _LIMITS[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high:
            raise ConfigError(f"{place}: {name} is {value!r}; accepted: {low:g} to {high:g}, {unit}")
    made = Shape(**{**known, **({"queue_bytes": int(known["queue_bytes"])} if "queue_bytes" in known else {})})
    if made.jitter_ms > made.delay_ms:
        raise ConfigError(f"{place}: jitter_ms is {made.jitter_ms:g}; accepted: at most delay_ms ({made.delay_ms:g})")
    return made


def choose(ab: Shape, ba: Shape, *, netem: bool, changeable: bool) -> Means:
    """Return the means for a link.

    Args:
        ab: one direction.
        ba: the other.
        netem: the kernel has it.
        changeable: the link's delay or loss may be asked for later, while it runs.
    """
    if changeable or ab.impaired or ba.impaired:
        return "netem" if netem else "wire"
    return "tbf" if ab.rate_mbit or ba.rate_mbit else "none"


def tc_commands(means: Means, interface: str, wish: Shape) -> list[str]:
    """Return lines for ``tc -batch`` that give an interface's egress this shape, whatever it had."""
    start = f"qdisc replace dev {interface} root handle 1: "
    if means == "netem":
        return [start + _netem(wish)]
    if means == "tbf" and wish.rate_mbit:
        return [start + f"tbf rate {_bits(wish)}bit burst {tbf_burst(wish)}b limit {wish.queue}b"]
    return []


def tbf_burst(wish: Shape) -> int:
    """Return the bytes that may pass at once: a millisecond's worth, and never less than a few frames."""
    return max(4 * FRAME_BYTES, int((wish.rate_mbit or 0.0) * 125.0))


def _bits(wish: Shape) -> int:
    return round((wish.rate_mbit or 0.0) * 1e6)


def _netem(wish: Shape) -> str:
    words = ["netem", "limit", str(_netem_limit(wish))]
    if wish.delay_ms:
        words += ["delay", f"{wish.delay_ms * 1000:.0f}us"]
        words += [f"{wish.jitter_ms * 1000:.0f}us"] if wish.jitter_ms else []
    words += ["loss", f"{wish.loss * 100:.6f}%"] if wish.loss else []
    words += ["duplicate", f"{wish.duplicate * 100:.6f}%"] if wish.duplicate else []
    words += ["rate", f"{_bits(wish)}bit"] if wish.rate_mbit else []
    return " ".join(words)


def _netem_limit(wish: Shape) -> int:
    """netem counts packets, and those in flight too: the queue and the delay's worth of full frames."""
    if not wish.rate_mbit:
        return 100_000
    in_flight = wish.rate_mbit * 125.0 * (wish.delay_ms + wish.jitter_ms)
    return max(4, math.ceil((wish.queue + in_flight) / FRAME_BYTES))


def tc_differences(means: Means, interface: str, wish: Shape, told: str) -> list[str]:
    """Compare what tc was asked with what it says back.

    Args:
        means: netem or tbf.
        interface: whose root qdisc.
        wish: what was asked.
        told: the output of ``tc -j qdisc show`` in the interface's namespace.

    Returns:
        One line per difference, empty where all is as asked.
    """
    roots = [row for row in json.loads(told or "[]") if row.get("dev") == interface and row.get("root")]
    if not roots or roots[0].get("kind") != means:
        return [f"{interface}: asked {means}, found {roots[0].get('kind') if roots else 'nothing'}"]
    options = roots[0].get("options", {})
    asked = _tbf_facts(wish) if means == "tbf" else _netem_facts(wish)
    found = _tbf_found(options) if means == "tbf" else _netem_found(options)
    return [
        f"{interface}: {name}: asked {value:g}, found {found[name]:g}"
        for name, value in asked.items()
        if abs(found[name] - value) > 0.01 * value + 1e-6
    ]


def _tbf_facts(wish: Shape) -> dict[str, float]:
    return {"rate_mbit": wish.rate_mbit or 0.0}


def _tbf_found(options: dict[str, Any]) -> dict[str, float]:
    return {"rate_mbit": float(options.get("rate", 0)) * 8 / 1e6}  # iproute2 prints bytes per second


def _netem_facts(wish: Shape) -> dict[str, float]:
    return {
        "rate_mbit": wish.rate_mbit or 0.0,
        "delay_ms": wish.delay_ms,
        "jitter_ms": wish.jitter_ms,
        "loss": wish.loss,
        "duplicate": wish.duplicate,
    }


def _netem_found(options: dict[str, Any]) -> dict[str, float]:
    delay: dict[str, Any] = options.get("delay", {})
    rate: dict[str, Any] = options.get("rate", {})
    return {
        "rate_mbit": float(rate.get("rate", 0)) * 8 / 1e6,
        "delay_ms": float(delay.get("delay", 0)) * 1000,
        "jitter_ms": float(delay.get("jitter", 0)) * 1000,
        "loss": float(options.get("loss-random", {}).get("loss", 0)),
        "duplicate": float(options.get("duplicate", {}).get("duplicate", 0)),
    }
