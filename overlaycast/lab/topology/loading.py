"""From a file to a checked topology: Python classes in Mininet's form, and GraphML maps."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from overlaycast.errors import ConfigError
from overlaycast.lab.topology.apart import apart
from overlaycast.lab.topology.routedtopo import RoutedTopo
from overlaycast.lab.topology.topology import Topology
from overlaycast.lab.topology.zoo import load_zoo
from overlaycast.streams import printable


def load_topology(path: str | Path, name: str | None = None, **wishes: Any) -> Topology:
    """Return the topology in a file.

    Args:
        path: a ``.py`` in Mininet's custom format (``topos = {name: class}``), its class derived from ``RoutedTopo``;
            or a ``.graphml`` map.
        name: which of several; may be left out where there is one, or one that is called like the file. Parameters of
            the class may follow, as after ``mn --topo``: ``figure_2a,ip=both``. For a map: where hosts go, in the
            words of ``zoo.py``.
        wishes: ``icmp`` and ``addressing``, as ``Topology.of`` takes them; what is left out is as the file has it.

    Raises:
        ConfigError: no such file, not of a known kind, or not a network that can be built.
    """
    file = Path(path)
    if file.suffix not in LOADERS:
        raise ConfigError(f"{file}: cannot be read as a topology; accepted: files ending in {', '.join(LOADERS)}")
    if not file.is_file():
        raise ConfigError(f"{file}: no such file")
    return LOADERS[file.suffix](file, name, wishes)


def _load_program(file: Path, name: str | None, wishes: Mapping[str, Any]) -> Topology:
    return apart(str(file), partial(_load_python, file, name, wishes))


def _load_python(file: Path, name: str | None, wishes: Mapping[str, Any]) -> Topology:
    try:
        topos = runpy.run_path(str(file)).get("topos")
    except (ConfigError, KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # a user's file may raise what it likes
        raise ConfigError(f"{file}: {_said(error)}") from error
    if not isinstance(topos, dict) or not topos:
        raise ConfigError(f"{file}: topos is missing; accepted: topos = {{'name': a class derived from RoutedTopo}}")
    wanted, *params = (name or "").split(",")
    chosen = wanted or (file.stem if file.stem in topos else next(iter(topos)) if len(topos) == 1 else None)
    if chosen is None:
        raise ConfigError(f"{file}: which topology? accepted: {', '.join(map(str, topos))}")
    if chosen not in topos:
        raise ConfigError(f"{file}: no topology {chosen!r}; accepted: {', '.join(map(str, topos))}")
    return _from_class(file, str(chosen), topos[chosen], {**_params(file, params), **wishes})


def _said(error: BaseException) -> str:
    """Return in one line what a user's file has raised, whatever its words are."""
    try:
        text = str(error)
    except Exception:
        text = "(it has no words)"
    return printable(f"{type(error).__name__}: {' '.join(text.split())}")


def _params(file: Path, words: Sequence[str]) -> dict[str, int | float | str]:
    """Read what follows a topology's name, in the words of ``mn --topo``."""
    found: dict[str, int | float | str] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key.isidentifier():
            raise ConfigError(f"{file}: name: {word!r:.60} after the topology's; accepted: KEY=VALUE, such as ip=6")
        for read in (int, float, str):
            with suppress(ValueError):
                found[key] = read(text)
                break
    return found


def _from_class(file: Path, name: str, make: Any, params: Mapping[str, Any]) -> Topology:
    try:
        made = make(**params)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:
        raise ConfigError(f"{file}: topos[{name!r}]: {_said(error)}") from error
    if not isinstance(made, RoutedTopo):
        raise ConfigError(f"{file}: topos[{name!r}] made a {type(made).__name__}; accepted: a RoutedTopo")
    return made.topology(name)


Loader = Callable[[Path, str | None, Mapping[str, Any]], Topology]
LOADERS: Final[dict[str, Loader]] = {".py": _load_program, ".graphml": load_zoo}
"""Suffix of a file's name -> how it becomes a topology."""
