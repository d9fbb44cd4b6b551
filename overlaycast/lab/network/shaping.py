"""Which means can shape a link as asked, and the tc commands for it. Pure.

Owns: the choice of the means per link, the text of tc commands, and the comparison of tc's output with what was asked.

Invariants: both directions of a link use the same means; a delay, jitter, loss or duplication is never given
to the kernel's ``tbf`` alone, which knows none of them; a link that may change while it runs gets a means that can
change everything; rate, loss and delay act on single packets, never on the trains (GSO) that hosts hand over.

With netem, three qdiscs are stacked: a ``tbf`` too fast to matter, whose burst of one packet makes it cut trains into
packets; netem for loss, duplication and delay; and a ``tbf`` for the rate, because its queue is counted in bytes, while
netem's counts packets, those in flight included.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from overlaycast.lab.topology.shape import FRAME_BYTES, Shape

Means = Literal["netem", "wire", "tbf", "none"]
"""netem: the kernel's emulator. wire: our own TAP wire (tapwire.py). tbf: the kernel's rate limit alone. none: bare."""

SLOW_MBIT: Final = 200.0
"""Below this rate the sender's segmentation offload is off, so that a rate or a loss acts on packets, not on 64 KiB."""

_UNFELT_BITS: Final = 40_000_000_000
_UNFELT_QUEUE: Final = 100_000_000
_ONE_PACKET: Final = FRAME_BYTES + 86  # a VLAN tag or two; no train of two packets is as short
_IN_FLIGHT: Final = 50_000  # packets that netem holds at most: bounded, as the wire is


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
    start = f"qdisc replace dev {interface} "
    if means == "netem":
        return [
            f"{start}root handle 1: tbf rate {_UNFELT_BITS}bit burst {_ONE_PACKET}b limit {_UNFELT_QUEUE}b",
            f"{start}parent 1:1 handle 2: {_netem(wish)}",
            f"{start}parent 2:1 handle 3: {_tbf(wish)}",
        ]
    if means == "tbf" and wish.rate_mbit:
        return [f"{start}root handle 1: {_tbf(wish)}"]
    return []


def _tbf(wish: Shape) -> str:
    if not wish.rate_mbit:
        return f"tbf rate {_UNFELT_BITS}bit burst {_UNFELT_QUEUE}b limit {_UNFELT_QUEUE}b"
    return f"tbf rate {_bits(wish)}bit burst {tbf_burst(wish)}b limit {wish.queue}b"


def tbf_burst(wish: Shape) -> int:
    """Return the bytes that may pass at once: a millisecond's worth, and never less than a frame."""
    return max(_ONE_PACKET, int((wish.rate_mbit or 0.0) * 125.0))


def _bits(wish: Shape) -> int:
    return round((wish.rate_mbit or 0.0) * 1e6)


def _netem(wish: Shape) -> str:
    words = ["netem", "limit", str(_IN_FLIGHT)]
    if wish.delay_ms:
        words += ["delay", f"{wish.delay_ms * 1000:.0f}us"]
        words += [f"{wish.jitter_ms * 1000:.0f}us"] if wish.jitter_ms else []
    words += ["loss", f"{wish.loss * 100:.6f}%"] if wish.loss else []
    words += ["duplicate", f"{wish.duplicate * 100:.6f}%"] if wish.duplicate else []
    # with a rate, netem lets no packet overtake another; this one is not felt otherwise
    words += ["rate", f"{_UNFELT_BITS}bit"] if wish.jitter_ms else []
    return " ".join(words)


def tc_overflowed(means: Means, interface: str, shown: str) -> int:
    """Return how many packets found the queue of an interface's rate full, by ``tc -s -j qdisc show``."""
    handle = "3:" if means == "netem" else "1:"
    rows = (row for row in json.loads(shown or "[]") if row.get("dev") == interface and row.get("handle") == handle)
    return sum(int(row.get("drops", 0)) for row in rows)


def tc_differences(means: Means, interface: str, wish: Shape, shown: str) -> list[str]:
    """Compare what tc was asked with what it says back.

    Args:
        means: netem or tbf.
        interface: the one that has the qdiscs.
        wish: what was asked.
        shown: the output of ``tc -j qdisc show`` in the interface's namespace.

    Returns:
        One line per difference, empty where all is as asked.
    """
    rows = {row.get("handle"): row for row in json.loads(shown or "[]") if row.get("dev") == interface}
    kinds = {"1:": "tbf", "2:": "netem", "3:": "tbf"} if means == "netem" else {"1:": "tbf"}
    for handle, kind in kinds.items():
        found = rows.get(handle, {}).get("kind")
        if found != kind:
            return [f"{interface}: asked {kind} as {handle}, found {found or 'nothing'}"]
    asked = _tbf_facts(wish)
    seen = _tbf_found(rows["1:" if means == "tbf" else "3:"].get("options", {}))
    if means == "netem":
        asked |= _netem_facts(wish)
        seen |= _netem_found(rows["2:"].get("options", {}))
    return [
        f"{interface}: {name}: asked {value:g}, found {seen[name]:g}"
        for name, value in asked.items()
        if abs(seen[name] - value) > 0.01 * value + 1e-6
    ]


def _tbf_facts(wish: Shape) -> dict[str, float]:
    return {"rate_mbit": wish.rate_mbit or _UNFELT_BITS / 1e6}


def _tbf_found(options: dict[str, Any]) -> dict[str, float]:
    return {"rate_mbit": float(options.get("rate", 0)) * 8 / 1e6}  # iproute2 prints bytes per second


def _netem_facts(wish: Shape) -> dict[str, float]:
    return {
        "delay_ms": wish.delay_ms,
        "jitter_ms": wish.jitter_ms,
        "loss": wish.loss,
        "duplicate": wish.duplicate,
    }


def _netem_found(options: dict[str, Any]) -> dict[str, float]:
    delay: dict[str, Any] = options.get("delay", {})
    return {
        "delay_ms": float(delay.get("delay", 0)) * 1000,
        "jitter_ms": float(delay.get("jitter", 0)) * 1000,
        "loss": float(options.get("loss-random", {}).get("loss", 0)),
        "duplicate": float(options.get("duplicate", {}).get("duplicate", 0)),
    }
