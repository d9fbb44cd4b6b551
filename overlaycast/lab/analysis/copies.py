"""How many copies of the stream crossed a link: *link stress*, from kernel counters. Pure.

Owns: the arithmetic from bytes on the wire to copies, headers aside. A copy of the stream is every record with its
frame header once; what each packet adds to it (Ethernet, IPv4, TCP with timestamps) is taken off by the packet count.
Segment offload does not disturb that: a large segment counts as one packet with one set of headers, as its bytes do.

What is not the stream but crosses the link too (reports, heartbeats, repeated segments) is not taken off: it is cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from overlaycast.lab.actors.multicast_stream import DATAGRAM_HEADER
from overlaycast.lab.faults.tree import Tree
from overlaycast.lab.recording.journals import Journal
from overlaycast.lab.recording.recording import CounterSample, Curve, Recording
from overlaycast.lab.results.fault_seen import LEAST_S
from overlaycast.wire.frames import HEADER_SIZE

PACKET_HEADERS: Final = 14 + 20 + 32
"""Ethernet, IPv4, TCP with the timestamp option (RFC 7323), as Linux counts and sends them."""
DATAGRAM_HEADERS: Final = 14 + 20 + 8 + DATAGRAM_HEADER
"""Ethernet, IPv4, UDP, and what each datagram of the multicast baseline says about its record."""

Direction = Literal["ab", "ba"]


def stream_curve(source: Journal, system: str = "overlay") -> Curve:
    """Return the bytes that one copy of the stream needs over time, frame headers included.

    Multicast repeats the frame header in every datagram; there it is taken off with the packets' headers.
    """
    samples = source.running()
    header = 0 if system == "multicast" else HEADER_SIZE
    return Curve(
        tuple(sample.t for sample in samples),
        tuple(float(sample.bytes + header * sample.records) for sample in samples),
    )


def wire_curve(counters: Sequence[CounterSample], link: str, direction: Direction, system: str = "overlay") -> Curve:
    """Return the bytes above TCP (or above a datagram's headers) that crossed one direction of a link over time."""
    values = []
    headers = DATAGRAM_HEADERS if system == "multicast" else PACKET_HEADERS
    for sample in counters:
        count = sample.links[link]
        size, packets = (count.bytes_ab, count.packets_ab) if direction == "ab" else (count.bytes_ba, count.packets_ba)
        values.append(float(max(0, size - headers * packets)))
    return Curve(tuple(sample.t for sample in counters), tuple(values))


def copies(wire: Curve, stream: Curve, t0: float, t1: float) -> float | None:
    """Return copies of the stream that crossed from t0 to t1; None if too little came then to tell."""
    sent = stream.between(t0, t1) if t1 - t0 >= LEAST_S else 0.0
    return wire.between(t0, t1) / sent if sent > 0 else None


def inbound_by_site(recording: Recording, t0: float, t1: float) -> dict[str, float]:
    """Return ``{site: copies that entered through its uplinks}`` in a window; empty where links are not counted."""
    found: dict[str, float] = {}
    if not recording.counters:
        return found
    for link in recording.network.links:
        if link.site is None or link.into_site not in ("ab", "ba"):
            continue
        direction: Direction = "ab" if link.into_site == "ab" else "ba"
        wire = wire_curve(recording.counters, link.name, direction, recording.system)
        crossed = copies(wire, _one_copy(recording, link.site, t0, t1), t0, t1)
        if crossed is not None:
            found[link.site] = found.get(link.site, 0.0) + crossed
    return found


def _one_copy(recording: Recording, site: str, t0: float, t1: float) -> Curve:
    """Return what one copy needs over time. A file is read long before it arrives: there the site's own receivers say.

    The receiver that got most in the window stands for its site.
    """
    if recording.experiment.group.mode != "file":
        return stream_curve(recording.journals.get(recording.cast.source, Journal("")), recording.system)
    here = [host for host in recording.cast.peers if recording.network.site_of(host) == site]
    curves = [stream_curve(recording.journals.get(host, Journal(host)), recording.system) for host in here]
    return max(curves, key=lambda curve: curve.between(t0, t1), default=Curve((), ()))


def inbound_by_tree(tree: Tree, sites: Mapping[str, str | None]) -> dict[str, int]:
    """Return ``{site: members there that are fed from outside it}``; what the tree says should cross the uplink."""
    found: dict[str, int] = {site: 0 for site in sites.values() if site}
    for child, parent in tree.edges().items():
        site = sites.get(child)
        if site and sites.get(parent) != site:
            found[site] += 1
    return found
