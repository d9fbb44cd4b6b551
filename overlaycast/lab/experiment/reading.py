"""From an experiment's file to everything a run needs to know: read, checked, cast on its network.

Owns: the order of the checks, and what is read from disk for them. Refuses: whatever is wrong, before anything starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from overlaycast.errors import LabError, OverlaycastError
from overlaycast.lab.document import placed_yaml
from overlaycast.lab.document.placed_yaml import PlacedYaml
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


def runs(file: Path, seed: int | None = None) -> tuple[Checked, ...]:
    """Return all runs that a file asks for, each checked.

    Args:
        file: an experiment.
        seed: of the first run; the file's own by default.

    Raises:
        ConfigError: by file, line and field.
    """
    document = placed_yaml.read(file)
    return tuple(_checked(file, variant) for variant in expand(document, seed))


def _checked(file: Path, variant: Variant) -> Checked:
    parsed = experiment.parse(variant.document)
    topology = _topology(file, variant.document, parsed)
    cast = casting.cast(variant.document, parsed, casting.castable(topology))
    casting.check_faults(variant.document, parsed, cast, topology)
    return Checked(variant, parsed, topology, cast)


def _topology(file: Path, document: PlacedYaml, parsed: Experiment) -> Topology:
    try:
        return load_topology(file.parent / parsed.topology.file, parsed.topology.name)
    except LabError:
        raise
    except OverlaycastError as error:
        raise document.error(("topology",), str(error)) from None
