"""What is noted while a run goes on: the coordinator's tree, the programs' footprints, what the network brought.

Owns: three loops, each a program of its own, and waiting for what a program says in its journal. Each writes JSON lines
of plain facts. Refuses: to conclude from them.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from . import units
from .place import Place
from .units import HandError

TREE_EVERY_S: Final = 0.25
LOOK_EVERY_S: Final = 0.1
FOOTPRINT_EVERY: Final = 10
COUNT_EVERY: Final = 10
LEAST_MS: Final = 20.0
PATIENCE_S: Final = 2.0
WAIT_EVERY_S: Final = 0.2
START_S: Final = 3.0
"""A program that does not run so long after its start has ended."""
_OVER: Final = ("end", "summary")


class _Local(http.client.HTTPConnection):
    """HTTP over the coordinator's Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("coordinator", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(str(self._path))


def read(place: Place, group: str, what: str) -> Any:
    """Return what the coordinator says of the group: ``tree`` or ``metrics``.

    Raises:
        HandError: it does not answer.
    """
    state = place.data / "state"
    try:
        connection = _Local(state / "admin.sock")
        token = (state / "admin.token").read_text().strip()
        connection.request("GET", f"/v1/groups/{group}/{what}", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status != 200:
            raise HandError(f"the coordinator answered {answer.status}")
        return json.loads(body)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise HandError(f"the coordinator did not answer: {type(error).__name__}: {error}") from None


def trees(place: Place, group: str) -> None:
    """Write the tree whenever it has changed, until this process is ended."""
    last: Any = None
    with (place.volatile / "trees.jsonl").open("a", buffering=1) as file:
        while True:
            with suppress(HandError):
                now = read(place, group, "tree")
                seats = {key: now.get(key) for key in ("epoch", "members")}
                shape = [now.get("epoch"), [_seat(one) for one in now.get("members", ())]]
                if shape != last:
                    file.write(json.dumps({"t": time.time(), "tree": seats}) + "\n")
                    last = shape
            time.sleep(TREE_EVERY_S)


def _seat(one: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what makes a tree another one: figures of a member change all the time."""
    return one.get("id"), one.get("parent"), one.get("state"), tuple(one.get("standbys") or ())


def meter(place: Place, names: list[str]) -> None:
    """Write what the programs hold, how long they waited for a processor, and what the network brought."""
    waited: dict[int, float] = {}
    before = time.time()
    looks = 0
    with (place.volatile / "meter.jsonl").open("a", buffering=1) as file:
        while True:
            now = time.time()
            for name, process in _processes(place, names, looks).items():
                with suppress(OSError, ValueError, IndexError):
                    ms = int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e6
                    if ms - waited.get(process, ms) >= LEAST_MS:
                        wait = round(ms - waited[process], 1)
                        file.write(json.dumps({"stall": name, "begin": before, "end": now, "ms": wait}) + "\n")
                    waited[process] = ms
                    if looks % FOOTPRINT_EVERY == 0:
                        file.write(json.dumps(_footprint(now, name, process)) + "\n")
            if looks % COUNT_EVERY == 0:
                with suppress(HandError):
                    file.write(json.dumps({"t": now, "counters": counters(place)}) + "\n")
            before = now
            looks += 1
            time.sleep(LOOK_EVERY_S)


_known: dict[str, int] = {}


def _processes(place: Place, names: list[str], looks: int) -> dict[str, int]:
    """Return the programs that run; systemd is asked for them once a second."""
    if looks % FOOTPRINT_EVERY == 0:
        for name in names:
            with suppress(HandError, ValueError):
                _known[name] = units.pid(place, name)
    return {name: process for name, process in _known.items() if process}


def _footprint(now: float, name: str, process: int) -> dict[str, Any]:
    of = Path(f"/proc/{process}")
    pages = int((of / "statm").read_text().split()[1])
    held = len(os.listdir(of / "fd"))
    return {"t": now, "host": name, "pid": process, "rss": pages * os.sysconf("SC_PAGE_SIZE"), "fds": held}


def counters(place: Place) -> dict[str, list[int]]:
    """Return ``{name: [bytes, packets]}`` of the run's counters.

    Raises:
        HandError: there are none.
    """
    listed = json.loads(units.said(["nft", "-j", "list", "counters", "table", "inet", place.table]))["nftables"]
    found = (entry["counter"] for entry in listed if "counter" in entry)
    return {one["name"]: [one["bytes"], one["packets"]] for one in found}


def count(place: Place, rules: str) -> None:
    """Put the run's counters in place; the table is deleted with the run."""
    units.said(["nft", "-f", "-"], f"table inet {place.table} {{\n{rules}\n}}\n")


def wait(place: Place, order: Mapping[str, Any]) -> dict[str, Any]:
    """Return once a program's journal says so.

    Args:
        place: the run.
        order: ``name`` of the program, ``what``: ``joined``, ``begun`` or ``over``, and ``patience_s``.

    Raises:
        HandError: the program ended before, or it took too long.
    """
    name, what = order["name"], order["what"]
    now = time.monotonic()
    deadline, started_by = now + order["patience_s"], now + order.get("starts_after_s", 0.0) + START_S
    while True:
        if what in (seen := said_by(place, name)):
            return {"t": seen[what]}
        ended = time.monotonic() > started_by and not units.running(units.show(place, name))
        if ended and what not in said_by(place, name):  # its last lines may have come just now
            if what == "over":
                return {"t": None}
            code = units.show(place, name).get("ExecMainStatus")
            raise HandError(f"{name} ended with {code} before it had {what}: {units.last_words(place, name)}")
        if time.monotonic() > deadline:
            if what == "over":
                return {"t": None, "late": True}
            raise HandError(f"{name} had not {what} in time: {units.last_words(place, name)}")
        time.sleep(WAIT_EVERY_S)


def said_by(place: Place, name: str) -> dict[str, float]:
    """Return when a program's newest life joined, began and was over, as far as its journal says."""
    found: dict[str, float] = {}
    try:
        lines = place.journal(name).read_bytes().splitlines(keepends=True)
    except OSError:
        return found
    for line in lines:
        if not line.endswith(b"\n"):
            break
        try:
            entry = json.loads(line)
            kind = entry["kind"]
        except (ValueError, KeyError, TypeError):  # who reads the whole journal later says what is wrong with it
            continue
        if kind == "start":
            found.clear()
        word = {"welcome": "joined", "begin": "begun"}.get(kind, "over" if kind in _OVER else None)
        if word:
            found.setdefault(word, entry["t"])
    return found
