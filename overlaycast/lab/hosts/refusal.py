"""Faults that are refused on real hosts, by file and place, before anything is asked of a host. Pure."""

from __future__ import annotations

from overlaycast.errors import MistakesError
from overlaycast.lab.experiment.reading import Checked
from overlaycast.lab.hosts import deeds


def refuse_faults(one: Checked, shaped: bool) -> None:
    """Raise ``MistakesError`` with a line, by file and place, for each fault that is not done on real hosts."""
    document = one.variant.document
    found = deeds.impossible(enumerate(one.experiment.timeline), shaped)
    lines = [document.error(("timeline", index, "action"), why) for index, why in found]
    if lines:
        raise MistakesError(lines)
