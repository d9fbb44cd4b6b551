"""Why a task failed on a host, in a line, and which units it was about.

Owns: reading that out of what a module returned. Refuses: more of a host's words than a few lines, and any that would
steer the terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from overlaycast.deploy.events import Event
from overlaycast.streams import printable

LONGEST: Final = 600
"""Characters of a reason."""
_UNIT: Final = re.compile(r"overlaycast-[A-Za-z0-9:_.@-]{1,200}\.service")
_ERROR: Final = re.compile(r"^(?:\[ERROR\]: |ERROR! )(.*)$", re.MULTILINE)
_INVENTORY: Final = re.compile(r"Failed to parse \S+ with '?yaml'? plugin: (.*)")
_ORIGIN: Final = re.compile(r"^Origin: \S+?:(\d+)", re.MULTILINE)
# Ansible's versions differ in what they say before the reason
_BEFORE: Final = re.compile(r"^(Task failed: |Action failed: |Failed to connect to the host via ssh: |ssh: )+")


@dataclass(frozen=True, slots=True)
class Failure:
    """A host's task that failed.

    Attributes:
        reached: the host answered at all.
        why: one line.
        units: systemd units that the task was about; their journals say more.
    """

    host: str
    task: str
    reached: bool
    why: str
    units: tuple[str, ...] = ()


def failure(event: Event) -> Failure:
    """Return what a ``failed`` or ``unreachable`` event says."""
    about = [one for one in _parts(event.result) if one.get("failed") is True] or [event.result]
    why = "; ".join(dict.fromkeys(reason for one in about if (reason := _reason(one)))) or "no reason given"
    units = dict.fromkeys(unit for one in about for unit in _units(one))
    return Failure(event.host, event.task, event.kind != "unreachable", why[:LONGEST], tuple(units))


def not_played(words: str) -> str:
    """Return why Ansible did not play at all, from the last that it printed: one line."""
    if found := _INVENTORY.search(words):
        lines = _ORIGIN.findall(words)
        return f"{f'line {lines[0]}: ' if lines else ''}{_line(found[1])}"
    if found := _ERROR.search(words):
        return _line(found[1])
    return _last(words) or "Ansible says nothing"


def _parts(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the results of a loop's items, or of the modules that a task consists of."""
    items, modules = result.get("results"), result.get("failed_modules")
    found = items if isinstance(items, list) else list(modules.values()) if isinstance(modules, Mapping) else []
    return [one for one in found if isinstance(one, Mapping)]


def _reason(result: Mapping[str, Any]) -> str:
    """Return why one module failed: a unit's own state, what a program said last, or the module's message."""
    status = result.get("status")
    if isinstance(status, Mapping) and "ActiveState" in status:
        said = _line(str(status.get("StatusText", "")))
        state = "/".join(_line(str(status.get(key, "?"))) for key in ("ActiveState", "SubState"))
        ended = _line(str(status.get("Result", "")))
        why = "" if ended in ("", "success") else f", {ended}"
        return f"{_line(str(result.get('name', 'unit')))} is {state}{why}{f': {said}' if said else ''}"
    message = _BEFORE.sub("", _line(str(result.get("msg", ""))))
    last = _last(result.get("stderr")) or _last(result.get("module_stderr")) or _last(result.get("stdout"))
    if last and last not in message:
        return f"{message}: {last}" if message else last
    return message


def _units(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the units that a result names: the one it was about, or those in its message."""
    named = [result.get("name"), result.get("item"), result.get("msg")]
    item = result.get("item")
    if isinstance(item, Mapping):
        named.append(item.get("unit"))
    for text in named:
        if isinstance(text, str):
            yield from _UNIT.findall(text[:4000])


def _last(text: object) -> str:
    lines = [line for line in text[-4000:].splitlines() if line.strip()] if isinstance(text, str) else []
    return _line(lines[-1]) if lines else ""


def _line(text: str) -> str:
    return printable(" ".join(text[:4000].split()))
