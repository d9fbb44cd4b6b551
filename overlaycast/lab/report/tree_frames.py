"""The tree in motion: a frame for every moment of a run, for the slider. Pure.

Owns: which pieces of SVG each frame shows. A piece that two frames share is stored once, so that the page of a long run
stays small; the page's script only puts pieces together and draws nothing itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from overlaycast.lab.analysis.moments import Moment
from overlaycast.lab.analysis.series import Picture, Receiver, Series
from overlaycast.lab.recording.recording import NetworkSeen
from overlaycast.lab.report.layout import Layout
from overlaycast.lab.report.picture import parts

WHAT: Final = 4
"""So many changes of one moment are named; further ones are counted."""


def tree_frames(
    network: NetworkSeen,
    layout: Layout,
    moments: Sequence[Moment],
    faults_s: Sequence[float],
    series: Series,
    merged: bool = False,
) -> dict[str, Any]:
    """Return the frames, ready for ``json.dumps``.

    ``pieces`` are SVG; ``frames`` have ``t`` (seconds), ``show`` (numbers of pieces, back to front) and ``what``
    happened; ``quiet`` has a letter per step for each receiver, ``x`` where nothing came. ``merged`` is as in
    ``picture``.
    """
    numbers: dict[str, int] = {}
    frames = []
    for moment in moments:
        before = _before(moment, moments, faults_s)
        drawn = parts(network, layout, _picture(moment), None if before is None else _picture(before), merged)
        show = [numbers.setdefault(piece, len(numbers)) for piece in drawn]
        frames.append({"t": moment.at_s, "show": show, "what": _changes(moment.what)})
    return {
        "pieces": list(numbers),
        "frames": frames,
        "step": series.step_s,
        "end": round(len(series.source_mbit) * series.step_s, 1),
        "quiet": {one.host: _quiet(one, series) for one in series.receivers},
    }


def _before(moment: Moment, moments: Sequence[Moment], faults_s: Sequence[float]) -> Moment | None:
    """What moved is what differs from the tree just before the newest fault."""
    since = max((at for at in faults_s if at <= moment.at_s + 0.001), default=None)
    if since is None:
        return None
    return max((one for one in moments if one.at_s < since - 0.001), key=lambda one: one.at_s, default=moments[0])


def _picture(moment: Moment) -> Picture:
    return Picture("", moment.at_s, moment.edges, {}, moment.gone)


def _changes(what: Sequence[str]) -> str:
    text = "; ".join(what[:WHAT])
    return f"{text}; and {len(what) - WHAT} more" if len(what) > WHAT else text


def _quiet(one: Receiver, series: Series) -> str:
    came = [index for index, rate in enumerate(one.rate_mbit) if rate > 0]
    first = came[0] if came else len(one.rate_mbit)
    steps = zip(one.rate_mbit, series.source_mbit, strict=True)
    return "".join("x" if index > first and rate == 0 and sent > 0 else "." for index, (rate, sent) in enumerate(steps))
