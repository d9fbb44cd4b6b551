"""The network with the tree on it, as SVG: every hop of the tree follows the routers it really crosses. Pure.

Owns: one line per copy. Two lines on a link are two copies of the stream on that wire, so an uplink with one line is
what was promised. Colours and fonts come from the page's style sheet, so that it is right in light, dark and print.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final

from overlaycast.lab.analysis.series import Picture
from overlaycast.lab.recording.recording import LinkSeen, NetworkSeen, NodeSeen
from overlaycast.lab.report.layout import Layout, Point

LANE: Final = 4.5
BEND: Final = 11.0


@dataclass(frozen=True, slots=True)
class Flow:
    """One hop of the tree: from parent to child, over these nodes."""

    parent: str
    child: str
    nodes: tuple[str, ...]
    moved: bool
    enters: bool

    @property
    def style(self) -> str:
        """Return the class that colours it."""
        return "moved" if self.moved else "enters" if self.enters else "inside"


def draw(network: NetworkSeen, layout: Layout, picture: Picture, before: Picture | None, merged: bool = False) -> str:
    """Return one SVG element.

    Args:
        network: nodes and links.
        layout: where they are.
        picture: each member's parent.
        before: the picture before it; hops that are not in it are shown as moved.
        merged: routers copy the stream (multicast), so that a link has one line however many are fed over it.
    """
    title = escape(f"{picture.label}, {picture.at_s:g} s")
    box = f"0 0 {layout.width:g} {layout.height:g}"
    drawn = "".join(parts(network, layout, picture, before, merged))
    return f'<svg class="network" viewBox="{box}" role="img" aria-label="{title}">{drawn}</svg>'


def parts(
    network: NetworkSeen, layout: Layout, picture: Picture, before: Picture | None, merged: bool = False
) -> list[str]:
    """Return what ``draw`` puts into its element, piece by piece, from back to front."""
    flows = _flows(network, picture, before)
    lanes = _lanes(flows)
    if merged:
        lanes = {pair: children[:1] for pair, children in lanes.items()}
    taking_part = {host for pair in network.paths for host in pair}
    idle = {node.name for node in network.nodes if taking_part and node.name not in taking_part}
    return [
        *(_box(box.site, box.x, box.y, box.width, box.height) for box in layout.boxes),
        *(_cable(link, layout, len(lanes.get(_pair(link.a, link.b), ()))) for link in network.links),
        *(_stream(flow, layout, lanes) for flow in sorted(flows, key=lambda flow: flow.moved)),
        *(_node(node, layout, picture, () if merged else flows, node.name in idle) for node in network.nodes),
        *(_uplink(link, layout, flows, merged) for link in network.links if link.site),
    ]


def _flows(network: NetworkSeen, picture: Picture, before: Picture | None) -> tuple[Flow, ...]:
    found = []
    for child, parent in sorted(picture.edges.items()):
        nodes = network.route(parent, child)
        if len(nodes) < 2:
            continue
        moved = before is not None and before.edges.get(child) != parent
        site = network.site_of(child)
        found.append(Flow(parent, child, nodes, moved, site is None or network.site_of(parent) != site))
    return tuple(found)


def _pair(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)


def _lanes(flows: Sequence[Flow]) -> dict[tuple[str, str], list[str]]:
    """Return, for each link, the children whose streams cross it; their order is their lanes."""
    lanes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for flow in flows:
        for a, b in pairwise(flow.nodes):
            lanes[_pair(a, b)].append(flow.child)
    return lanes


def _shifted(layout: Layout, a: str, b: str, lane: int, lanes: int) -> tuple[Point, Point]:
    """Return the ends of one lane of a link, in the direction a to b, shortened at both nodes."""
    left, right = _pair(a, b)
    start, end = layout.points[left], layout.points[right]
    length = math.hypot(end.x - start.x, end.y - start.y) or 1.0
    ux, uy = (end.x - start.x) / length, (end.y - start.y) / length
    offset = (lane - (lanes - 1) / 2) * LANE
    cut = min(BEND, length / 3)
    first = Point(start.x - uy * offset + ux * cut, start.y + ux * offset + uy * cut)
    last = Point(end.x - uy * offset - ux * cut, end.y + ux * offset - uy * cut)
    return (first, last) if (a, b) == (left, right) else (last, first)


def _stream(flow: Flow, layout: Layout, lanes: dict[tuple[str, str], list[str]]) -> str:
    segments = []
    for a, b in pairwise(flow.nodes):
        children = lanes[_pair(a, b)]
        lane = children.index(flow.child) if flow.child in children else 0
        segments.append(_shifted(layout, a, b, lane, len(children)))
    path = f"M{_xy(layout.points[flow.parent])}L{_xy(segments[0][0])}"
    for index, (start, end) in enumerate(segments):
        if index:
            turn = layout.points[flow.nodes[index]]
            path += f"Q{_xy(turn)} {_xy(start)}"
        path += f"L{_xy(end)}"
    label = escape(f"{flow.parent} feeds {flow.child}")
    return f'<g class="flow {flow.style}"><title>{label}</title><path d="{path}"/>{_arrow(*segments[-1])}</g>'


def _arrow(start: Point, end: Point) -> str:
    angle = math.degrees(math.atan2(end.y - start.y, end.x - start.x))
    return f'<path class="tip" transform="translate({_xy(end)}) rotate({angle:.1f})" d="M3 0L-6 -4L-6 4Z"/>'


def _xy(point: Point) -> str:
    return f"{point.x:.1f} {point.y:.1f}"


def _box(site: str, x: float, y: float, width: float, height: float) -> str:
    name = f'<text class="site" x="{x + width - 10:.1f}" y="{y + 17:.1f}">{escape(site)}</text>'
    shape = f'<rect class="site" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="9"/>'
    return shape + name


def _cable(link: LinkSeen, layout: Layout, lanes: int) -> str:
    a, b = layout.points[link.a], layout.points[link.b]
    width = 5 + LANE * max(0, lanes - 1) + (4 if lanes else 0)
    kind = "cable uplink" if link.site else "cable"
    rate = f"{link.rate_mbit:g} Mbit/s" if link.rate_mbit else "no limit"
    label = escape(f"{link.name}: {rate}, {link.delay_ms:g} ms, {lanes} lines")
    line = f'<line class="{kind}" x1="{a.x:.1f}" y1="{a.y:.1f}" x2="{b.x:.1f}" y2="{b.y:.1f}"'
    return f'{line} stroke-width="{width:.1f}"><title>{label}</title></line>'


def _node(node: NodeSeen, layout: Layout, picture: Picture, flows: Sequence[Flow], idle: bool) -> str:
    name, role = node.name, node.role
    at = layout.points.get(name)
    if at is None:
        return ""
    text = escape(name)
    if node.kind == "router":
        radius = 6 + LANE * max(0, sum(name in flow.nodes for flow in flows) - 2) / 2
        circle = f'<circle class="router" cx="{at.x:.1f}" cy="{at.y:.1f}" r="{radius:.1f}"/>'
        return f'<g>{circle}<text class="router" x="{at.x:.1f}" y="{at.y - radius - 5:.1f}">{text}</text></g>'
    gone = name in picture.gone
    feeds = sum(flow.parent == name for flow in flows)
    looks = "gone" if gone else "planted" if role != "client" else "idle" if idle else "forwards" if feeds else "leaf"
    return f'<g class="host {looks}" data-host="{text}">{_shape(role, at)}{_name(text, role, at, feeds)}</g>'


def _shape(role: str | None, at: Point) -> str:
    if role == "client":
        return f'<circle cx="{at.x:.1f}" cy="{at.y:.1f}" r="7"/>'
    return f'<rect x="{at.x - 7:.1f}" y="{at.y - 7:.1f}" width="14" height="14" rx="3"/>'


def _name(text: str, role: str | None, at: Point, feeds: int) -> str:
    if role == "client":
        return f'<text x="{at.x + 15:.1f}" y="{at.y + 4.5:.1f}">{text}</text>'
    return f'<text class="planted" x="{at.x:.1f}" y="{at.y - 12 - max(0.0, LANE * feeds / 2 - 5):.1f}">{text}</text>'


def _uplink(link: LinkSeen, layout: Layout, flows: Sequence[Flow], merged: bool) -> str:
    """The number that the picture is about: copies into the site, by the tree."""
    inwards = (link.a, link.b) if link.into_site == "ab" else (link.b, link.a)
    fed = sum(inwards in pairwise(flow.nodes) for flow in flows)
    count = min(fed, 1) if merged else fed
    a, b = layout.points[inwards[0]], layout.points[inwards[1]]
    x, y = a.x + (b.x - a.x) * 0.52, a.y + (b.y - a.y) * 0.52
    looks = "count" if count <= 1 else "count many"
    label = escape(f"{count} into {link.site} over {link.name}")
    circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="9.5"/>'
    return f'<g class="{looks}"><title>{label}</title>{circle}<text x="{x:.1f}" y="{y + 4:.1f}">{count}</text></g>'
