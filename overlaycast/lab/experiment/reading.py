"""From an experiment's file to everything a run needs to know: read, checked, cast on its network.

Owns: the order of the checks, and what is read from disk for them. Refuses: whatever is wrong, before anything starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from overlaycast.document import placed_yaml
from overlaycast.document.placed_yaml import PlacedYaml
from overlaycast.errors import ConfigError, LabError, MistakesError, OverlaycastError, each
from overlaycast.lab.experiment import casting, experiment
from overlaycast.lab.experiment.experiment import Cast, Experiment
from overlaycast.lab.experiment.variants import Variant, expand
from overlaycast.lab.topology.loading import load_topology
from overlaycast.lab.topology.topology import Topology


@dataclass(frozen=True, slots=True)
class Checked:
    """One run of a file, checked."""

    variant: Variant
    experiment: Experiment
    topology: Topology
    cast: Cast


def runs(file: Path, seed: int | None = None, own_timeline: bool = False) -> tuple[Checked, ...]:
    """Return all runs that a file asks for, each checked.

    Args:
        file: an experiment.
        seed: of the first run; the file's own by default.
        own_timeline: the timeline will not be replaced, so expectations about its faults can be checked too.

    Raises:
        MistakesError: all that is wrong, each by file, line and field.
    """
    found: list[Checked] = []
    wrong: list[ConfigError] = []
    for variant in expand(placed_yaml.read(file), seed):
        try:
            found.append(_checked(file, variant, own_timeline))
        except ConfigError as error:
            wrong += each(error)
    if wrong:
        raise MistakesError(wrong)
    return tuple(found)


def _checked(file: Path, variant: Variant, own_timeline: bool) -> Checked:
    """Return a run. What one mistake leaves of the document is checked further, so that all are told at once."""
    document, wrong = variant.document, list[ConfigError]()
    try:
        parsed = experiment.parse(document)
    except ConfigError as error:
        wrong += each(error)
        document, parsed = _what_is_left(document, wrong)
    with _collected(wrong):
        topology = _topology(file, document, parsed)
        cast = casting.cast(document, parsed, casting.castable(topology))
        wrong += casting.unmeasured(document, parsed) if own_timeline else ()
        casting.check_faults(document, parsed, cast, topology)
    if wrong:
        raise MistakesError(wrong)
    return Checked(variant, parsed, topology, cast)


def _what_is_left(document: PlacedYaml, wrong: list[ConfigError]) -> tuple[PlacedYaml, Experiment]:
    """Return the document without what was refused, and its experiment.

    Raises:
        MistakesError: that is no experiment; all that is known to be wrong.
    """
    whole = document.values
    while True:
        left = document.without_wrong(Experiment)
        try:
            parsed = left.checked(Experiment)
        except ConfigError as error:
            removed = tuple(f": {name}: required" for name in whole if name not in left.values)
            # an item that was left out is not missing
            wrong += [
                one for one in each(error) if not str(one).endswith(removed) and "at least 1 item" not in str(one)
            ]
            if left.values == document.values:
                raise MistakesError(wrong) from None
            document = left
            continue
        with _collected(wrong):
            experiment.parse(left)
        return left, parsed


@contextmanager
def _collected(wrong: list[ConfigError]) -> Iterator[None]:
    """Add the mistakes that end the block to a list."""
    try:
        yield
    except ConfigError as error:
        wrong += each(error)


def _topology(file: Path, document: PlacedYaml, parsed: Experiment) -> Topology:
    try:
        return load_topology(file.parent / parsed.topology.file, parsed.topology.name, **parsed.topology.wishes)
    except LabError:
        raise
    except OverlaycastError as error:
        raise document.error(("topology",), str(error)) from None
