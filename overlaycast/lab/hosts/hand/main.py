"""``python hand.pyz RUN`` reads orders from standard input, a JSON list in base64, and prints a JSON list of
answers.

``python hand.pyz RUN WORD …`` does one thing; units and timers of the run call it so. The first order that cannot be
carried out ends the list; its answer has ``wrong``.
"""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from . import clock, deeds, facts, gather, paths, units, watch
from .place import Place, give, user
from .units import HandError

Order = Mapping[str, Any]
INSTALL_S: Final = 300.0


def main() -> int:
    """Run the hand."""
    place = Place(sys.argv[1])
    if len(sys.argv) > 2:
        _one(place, sys.argv[2], sys.argv[3:])
        return 0
    answers: list[dict[str, Any]] = []
    for order in json.loads(base64.b64decode(sys.stdin.read())):
        began = time.time()
        try:
            answers.append({"verb": order["verb"], **(ORDERS[order["verb"]](place, order) or {}), "began": began})
        except (HandError, OSError) as error:
            answers.append({"verb": order["verb"], "wrong": " ".join(str(error).split())})
            break
    print(json.dumps(answers))
    return 0


def _one(place: Place, word: str, rest: list[str]) -> None:
    match word:
        case "do":
            deeds.do(place, rest[0])
        case "undo":
            deeds.undo(place, rest[0])
        case "end":
            gather.remove(place, keep=True)
        case "trees":
            watch.trees(place, rest[0])
        case "meter":
            watch.meter(place, rest)
        case "clock":
            clock.serve(int(rest[0]))
        case "multicast":
            paths.send_multicast(rest[0], float(rest[1]))


def _prepare(place: Place, order: Order) -> dict[str, Any]:
    """Make the run's folders, and what the host's part needs."""
    for folder in (place.volatile / "deeds", place.volatile / "commands"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    place.data.mkdir(parents=True, exist_ok=True, mode=0o755)
    # systemd writes the logs, as root: no other user may say where they lie
    (place.data / "logs").mkdir(exist_ok=True, mode=0o750)
    for name in ("journals", "received", "state"):
        (place.data / name).mkdir(exist_ok=True, mode=0o750)
        give(place.data / name)
    made: dict[str, Any] = {}
    if disk := order.get("disk"):
        made["disk"] = deeds.make_disk(place, disk["folder"], disk["size_mib"], disk["loop"])
        give(place.data / disk["folder"])
    if source := order.get("bytes"):
        _write_bytes(place, source)
    if rules := order.get("counters"):
        watch.count(place, rules)
    return made


def _write_bytes(place: Place, source: Order) -> None:
    """Write the stream that a seed gives: the same bytes as the controller has."""
    draw, left = random.Random(source["seed"]), source["size"]
    with (place.data / "stream").open("wb") as file:
        while left > 0:
            portion = draw.randbytes(min(left, 1 << 20))
            file.write(portion)
            left -= len(portion)


def _install(place: Place, order: Order) -> None:
    """Install the program from an artefact into the run's own folder."""
    artefact, unpacked = place.data / order["file"], place.data / "artefact"
    unpacked.mkdir()
    units.said(["tar", "-C", str(unpacked), "--strip-components=1", "-xf", str(artefact)], patience_s=INSTALL_S)
    units.said([str(unpacked / "install"), "--prefix", str(place.data / order["to"])], patience_s=INSTALL_S)
    shutil.rmtree(unpacked)
    artefact.unlink()


def _start(place: Place, order: Order) -> None:
    """Start a program, now or so many seconds from now."""
    if after_s := order.get("after_s"):
        place.command(order["name"]).write_text(json.dumps(dict(order["program"])))
        deed = {"do": [{"kind": "start", "unit": order["name"]}], "undo": []}
        place.deed(f"start-{order['name']}").write_text(json.dumps(deed))
        units.later(place, f"start-{order['name']}", after_s, place.hand("do", f"start-{order['name']}"))
        return
    units.start(place, order["name"], order["program"])


def _prepared(place: Place, order: Order) -> None:
    """Remember how a program is started, and do not start it."""
    place.command(order["name"]).write_text(json.dumps(dict(order["program"])))


def _arm(place: Place, order: Order) -> None:
    """Arm a deed: first the timer that undoes it, then the one that does it. Times are this host's; 0 is at once."""
    name = order["name"]
    place.deed(name).write_text(json.dumps({"do": order["do"], "undo": order["undo"]}))
    now = time.time()
    if order["undo"]:
        # an order that comes late moves the end too: what was asked to last so long lasts so long
        late_s = max(0.0, now - order["at"]) if order["at"] else 0.0
        after_s = order.get("lasts_s") or order["undo_at"] - now + late_s
        units.later(place, f"heal-{name}", after_s, place.hand("undo", name))
    if order["at"]:
        units.later(place, f"fault-{name}", order["at"] - now, place.hand("do", name))
    else:
        deeds.do(place, name)


def _ready(place: Place, order: Order) -> None:
    """Return once the coordinator answers."""
    deadline = time.monotonic() + order["patience_s"]
    while not (place.data / "state" / "admin.sock").exists():
        state = units.show(place, "coordinator")
        if not units.running(state) or time.monotonic() > deadline:
            raise HandError(f"the coordinator does not answer: {units.last_words(place, 'coordinator')}")
        time.sleep(0.1)


def _group(place: Place, order: Order) -> dict[str, Any]:
    """Make the group. Its join token is kept in a file that root alone can read, and is printed nowhere."""
    name, group = user()
    text = units.said(["setpriv", f"--reuid={name}", f"--regid={group}", "--clear-groups", *order["words"]])
    token = text.strip()
    if not token or len(token.splitlines()) != 1:
        raise HandError("'overlaycast group create' did not print a join token alone")
    file = place.volatile / "token"
    file.touch(mode=0o600)
    file.write_text(token)
    return {}


def _look(place: Place, order: Order) -> dict[str, Any]:
    """Return the tree, and how the programs are."""
    return {"tree": watch.read(place, order["group"], "tree"), "t": time.time()}


def _metrics(place: Place, order: Order) -> dict[str, Any]:
    try:
        return {"metrics": watch.read(place, order["group"], "metrics")}
    except HandError:
        return {"metrics": None}


def _remove(place: Place, _: Order) -> None:
    gather.remove(place)


ORDERS: Final[Mapping[str, Callable[[Place, Any], dict[str, Any] | None]]] = {
    "facts": facts.facts,
    "prepare": _prepare,
    "install": _install,
    "start": _start,
    "prepared": _prepared,
    "arm": _arm,
    "ready": _ready,
    "group": _group,
    "look": _look,
    "metrics": _metrics,
    "wait": watch.wait,
    "clock": lambda _, order: clock.ask(order["address"], order["port"]),
    "hear": lambda _, order: paths.hear_multicast(order["towards"], order["seconds"]),
    "gather": gather.gather,
    "remove": _remove,
}

os.umask(0o022)
