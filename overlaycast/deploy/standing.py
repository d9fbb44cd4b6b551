"""How the deployment stands, from what ``status.yml`` tells: each unit in its own words, and each group's tree.

Owns: the rows of the table and the fields of ``overlaycast deploy status --json``. Refuses: to take for granted that
what hosts say is well-formed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypedDict

from overlaycast.deploy.events import Event
from overlaycast.streams import printable

UNITS_TASK: Final = "Look at each unit"
VERSION_TASK: Final = "See which version runs"
TREES_TASK: Final = "Ask for the tree of each group"
COLUMNS: Final = ("HOST", "UNIT", "STATE", "VERSION", "SAYS")


class UnitView(TypedDict):
    """A unit: its name, systemd's word for its state, and its own words."""

    unit: str
    state: str
    says: str


class HostView(TypedDict):
    """A host: whether it answered, the version that its units start with, and its units."""

    reached: bool
    version: str | None
    units: list[UnitView]


class DeploymentView(TypedDict):
    """The whole deployment. A group's tree is as ``overlaycast group tree --json`` prints it."""

    hosts: dict[str, HostView]
    groups: dict[str, Any]


class Stand:
    """Hears the events of ``status.yml``."""

    def __init__(self) -> None:
        self.hosts: Final[dict[str, HostView]] = {}
        self.trees: Final[dict[str, str]] = {}
        """What the coordinator printed of each group."""

    def hear(self, event: Event) -> None:
        """Take an event in."""
        if not event.host:
            return
        host = self.hosts.setdefault(event.host, HostView(reached=True, version=None, units=[]))
        if event.kind == "unreachable":
            host["reached"] = False
        elif event.kind == "ok" and event.task == UNITS_TASK:
            host["units"] = [_unit(one) for one in _items(event)]
        elif event.kind == "ok" and event.task == VERSION_TASK:
            link = _mapping(event.result.get("stat")).get("lnk_target")
            host["version"] = printable(link) if isinstance(link, str) else None
        elif event.kind == "ok" and event.task == TREES_TASK:
            self.trees.update({str(one.get("item", "")): str(one.get("stdout", "")) for one in _items(event)})

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row for each unit, as ``COLUMNS`` names them."""
        return list(self._rows())

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for name, host in self.hosts.items():
            if not host["reached"]:
                yield (name, "", "not reached", "", "")
            for unit in host["units"]:
                plain = unit["unit"].removesuffix(".service")
                yield (name, plain, unit["state"], host["version"] or "-", unit["says"])

    def view(self) -> DeploymentView:
        """Return all of it as JSON has it; a tree that is no JSON is null."""
        return DeploymentView(hosts=self.hosts, groups={name: _json(text) for name, text in self.trees.items()})


def _items(event: Event) -> list[Mapping[str, Any]]:
    found = event.result.get("results")
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _unit(result: Mapping[str, Any]) -> UnitView:
    status = _mapping(result.get("status"))
    return UnitView(
        unit=printable(str(_mapping(result.get("item")).get("unit", ""))),
        state=printable(str(status.get("ActiveState", "not installed"))),
        says=printable(str(status.get("StatusText", ""))),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
