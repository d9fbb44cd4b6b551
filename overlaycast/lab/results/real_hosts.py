"""The real hosts that a run was carried out on, as they stand in ``result.json``.

Owns: names and units of these fields. Refuses: to ask hosts (``lab.hosts``).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RealHost:
    """A real host that took part.

    Attributes:
        host: its name in the experiment.
        real: its name in the inventory.
        address: where the others met it.
        part: coordinator, source, backup or peer.
        site: of the experiment.
        found: its site in the inventory, or the first router on its way out.
        how: why it was this one.
        version, kernel: what ran there.
        rtt_ms: the shortest round trip to the source's host; None: it is that host.
        clock_ahead_ms: what its clock was ahead of the source's host's before the stream; taken from its latencies.
        clock_uncertainty_ms: by how much that may be wrong, and with it each of its latencies.
        clock_drift_ms: what it changed by until after the stream.
    """

    host: str
    real: str
    address: str
    part: str
    site: str | None
    found: str | None
    how: str
    version: str
    kernel: str
    rtt_ms: float | None = None
    clock_ahead_ms: float = 0.0
    clock_uncertainty_ms: float = 0.0
    clock_drift_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class RealHosts:
    """What a run on real hosts is to be read with.

    Attributes:
        hosts: those that took part.
        not_measured: metric -> why nothing there could measure it.
        differs: what is not as on the emulated network, each in a line.
    """

    hosts: tuple[RealHost, ...]
    not_measured: dict[str, str]
    differs: tuple[str, ...]
