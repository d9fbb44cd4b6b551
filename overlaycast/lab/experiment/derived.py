"""Experiment files that the lab writes itself: random timelines, and the smallest part of a timeline that still fails.

Owns: turning a document with another timeline into a file of its own that can be run again. Refuses: to run it.
Expectations about a fault of the old timeline are left out: there is no such fault any more.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from overlaycast.document.placed_yaml import PlacedYaml
from overlaycast.errors import ConfigError
from overlaycast.lab.experiment import chaos
from overlaycast.lab.experiment.experiment import Cast, Experiment
from overlaycast.lab.topology.topology import Topology

NOT_TOGETHER: Final = ("repeat", "sweep", "arrival")
"""What would make a drawn timeline mean something else from run to run."""


def chaotic(
    document: PlacedYaml, experiment: Experiment, topology: Topology, cast: Cast, seed: int, to: Path
) -> dict[str, Any]:
    """Return a document whose timeline is drawn from a seed, to be written to ``to``.

    Raises:
        ConfigError: the length of the stream is unknown, or too short.
    """
    stream_s = experiment.stream_s
    if stream_s is None or stream_s < chaos.SHORTEST_S:
        least = f"{chaos.SHORTEST_S:g} s or more"
        raise document.error(("stream",), f"chaos needs a stream of known length; accepted: {least}")
    uplinks = tuple(site for site in topology.sites if topology.uplinks_of(site))
    timeline = chaos.draw(cast, uplinks, seed, stream_s)
    return {**with_timeline(document, timeline, to), "name": f"{experiment.name}-chaos-{seed}"[:64]}


def with_timeline(document: PlacedYaml, timeline: Sequence[Any], to: Path) -> dict[str, Any]:
    """Return a document with another timeline, to be written to ``to``."""
    values: dict[str, Any] = {name: value for name, value in document.values.items() if name not in NOT_TOGETHER}
    known = {fault.get("id") for fault in timeline if isinstance(fault, dict)} - {None}
    values["timeline"] = list(timeline)
    values["expect"] = [one for one in values["expect"] if one.get("fault") is None or one["fault"] in known]
    values["topology"] = {**values["topology"], "file": _moved(document, values["topology"]["file"], to)}
    if values["stream"].get("path") is not None:
        values["stream"] = {**values["stream"], "path": _moved(document, values["stream"]["path"], to)}
    if not values["expect"]:
        raise document.error(("expect",), "all of it is about faults by name; accepted: something about the whole run")
    return values


def _moved(document: PlacedYaml, path: str, to: Path) -> str:
    return os.path.relpath((document.path.parent / path).resolve(), to.parent.resolve())


def write(values: dict[str, Any], to: Path, about: str) -> None:
    """Write a document as a file; ``about`` becomes a comment at its top.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(f"# {about}\n{yaml.safe_dump(values, sort_keys=False, width=118, allow_unicode=True)}")
    except OSError as error:
        raise ConfigError(f"{to}: {error.strerror}") from None
