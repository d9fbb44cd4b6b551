"""Doing what a fault does on this host, undoing it, and saying how it was proven.

Owns: the kinds of steps. Refuses: when; timers of systemd call ``do`` and ``undo``. What was done stands in the run's
log, with the time and the proof; a step that did not work stands there too, and fails the run in the end.

Invariant: ``undo`` may be called often, and undoes once.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from . import units
from .place import Place
from .units import HandError

PROOF_S: Final = 2.0
LEAVE_S: Final = 10.0
BALLAST: Final = "ballast"
BLOCK: Final = b"\0" * (1 << 16)


def do(place: Place, name: str) -> None:
    """Do a deed, and note it."""
    _all(place, name, "do")


def undo(place: Place, name: str, why: str = "asked") -> None:
    """Undo a deed if it was done and is not undone yet, and note it. ``why``: asked, or at the end of the run."""
    mark = place.volatile / "deeds" / f"{name}.undone"
    done = place.volatile / "deeds" / f"{name}.done"
    if mark.exists() or not done.exists() or not json.loads(place.deed(name).read_text())["undo"]:
        return
    mark.touch()
    _all(place, name, "undo", why)


def _all(place: Place, name: str, what: str, why: str = "asked") -> None:
    order = json.loads(place.deed(name).read_text())
    at, evidence = 0.0, []
    try:
        if what == "do":
            (place.volatile / "deeds" / f"{name}.done").touch()
        for step in order[what]:
            began, proof = _STEPS[step["kind"]](place, name, step)
            at = at or began
            evidence += [proof]
    except (HandError, OSError, KeyError, ValueError) as error:
        text = " ".join(str(error).split())
        place.note(deed=name, what=what, at=time.time(), ok=False, evidence=text, why=why)
        return
    place.note(deed=name, what=what, at=at or time.time(), ok=True, evidence=", ".join(evidence), why=why)


def _signal(place: Place, _: str, step: Mapping[str, Any]) -> tuple[float, str]:
    number = signal.Signals[f"SIG{step['signal']}"]
    unit = step["unit"]
    process = units.pid(place, unit)
    if not process:
        raise HandError(f"{unit} had ended by itself: {units.last_words(place, unit)}")
    at = time.time()
    os.kill(process, number)
    if number == signal.SIGTERM:
        return at, _left(place, unit, process, at)
    wanted = {
        signal.SIGKILL: lambda: units.state_of(process) in ("", "Z"),
        signal.SIGSTOP: lambda: units.state_of(process) in ("T", "t"),
        signal.SIGCONT: lambda: units.state_of(process) not in ("T", "t"),
    }[number]
    if not units.until(wanted, PROOF_S):
        raise HandError(f"process {process} of {unit} did not obey signal {number.value}")
    said = {
        signal.SIGKILL: f"process {process} ended by signal 9",
        signal.SIGSTOP: f"process {process} is stopped",
        signal.SIGCONT: f"process {process} goes on",
    }
    return at, said[number]


def _left(place: Place, unit: str, process: int, at: float) -> str:
    if not units.until(lambda: not units.running(units.show(place, unit)), LEAVE_S):
        raise HandError(f"{unit} was still there {LEAVE_S:g} s after SIGTERM")
    code = int(units.show(place, unit).get("ExecMainStatus") or 0)
    if code:
        raise HandError(f"{unit} ended with {code}: {units.last_words(place, unit)}")
    return f"process {process} left {time.time() - at:.1f} s after SIGTERM, with 0"


def _start(place: Place, _: str, step: Mapping[str, Any]) -> tuple[float, str]:
    at = time.time()
    units.start_again(place, step["unit"])
    process = units.pid(place, step["unit"])
    if not process:
        raise HandError(f"{step['unit']} did not start: {units.last_words(place, step['unit'])}")
    return at, f"process {process} was started"


def _nft(place: Place, name: str, step: Mapping[str, Any]) -> tuple[float, str]:
    """Put a table of nftables in place. It takes effect as one."""
    table = _table(place, name)
    at = time.time()
    units.said(["nft", "-f", "-"], f"table inet {table} {{\n{step['rules']}\n}}\n")
    units.said(["nft", "list", "table", "inet", table])
    return at, f"{step['said']} by nftables"


def _nft_off(place: Place, name: str, step: Mapping[str, Any]) -> tuple[float, str]:
    table = _table(place, name)
    dropped = _packets(units.said(["nft", "-j", "list", "table", "inet", table]))
    units.said(["nft", "delete", "table", "inet", table])
    return time.time(), f"{dropped} packets had been dropped"


def _packets(text: str) -> int:
    """Return what the counters of a table's rules say."""
    found = 0
    for entry in json.loads(text)["nftables"]:
        for part in entry.get("rule", {}).get("expr", ()):
            found += part["counter"]["packets"] if "counter" in part else 0
    return found


def _table(place: Place, name: str) -> str:
    return f"{place.table}_{''.join(one if one.isalnum() else '_' for one in name)}"


def _tc(place: Place, name: str, step: Mapping[str, Any]) -> tuple[float, str]:
    """Put a queue before some of what leaves towards other hosts. The device must have its kernel's own queue."""
    device = device_towards(step["toward"])
    root: dict[str, Any] = next(iter(json.loads(units.said(["tc", "-j", "qdisc", "show", "dev", device, "root"]))), {})
    if root.get("kind") not in ("noqueue", "pfifo_fast", "fq_codel", "fq", "mq", None):
        raise HandError(f"{device} has a queue of its own already ({root['kind']}), which is left alone")
    at = time.time()
    for words in step["commands"]:
        units.said(["tc", *(device if word == "DEVICE" else word for word in words)])
    shown = json.loads(units.said(["tc", "-j", "qdisc", "show", "dev", device]))
    if not any(one.get("kind") == step["qdisc"] for one in shown):
        raise HandError(f"{device}: the queue is not there: {step['qdisc']}")
    return at, f"{step['said']} by tc on {device}"


def _tc_off(place: Place, name: str, step: Mapping[str, Any]) -> tuple[float, str]:
    device = device_towards(step["toward"])
    units.said(["tc", "qdisc", "del", "dev", device, "root"])
    return time.time(), f"{device} has its own queue again"


def device_towards(address: str) -> str:
    """Return the device that packets to an address leave by."""
    [route] = json.loads(units.said(["ip", "-j", "route", "get", address]))
    return str(route["dev"])


def _fill(place: Place, _: str, step: Mapping[str, Any]) -> tuple[float, str]:
    """Fill the file system that a member writes to."""
    folder = place.data / step["folder"]
    at = time.time()
    with (folder / BALLAST).open("ab", buffering=0) as file:
        try:
            while True:
                file.write(BLOCK)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    left = os.statvfs(folder).f_bavail
    if left > 16:
        raise HandError(f"{folder} still has {left} blocks")
    return at, f"{folder} has no room"


def make_disk(place: Place, folder: str, size_mib: int, loop: bool) -> str:
    """Mount a file system of a size for a member's output; return what it is."""
    to = place.data / folder
    to.mkdir(parents=True, exist_ok=True)
    if not loop:
        units.said(["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(to)])
        return "a file system in memory"
    image = place.data / f"{folder}.img"
    with image.open("wb") as file:
        file.truncate(size_mib << 20)
    units.said(["mkfs.ext4", "-q", "-m", "0", "-F", str(image)])
    units.said(["mount", "-o", "loop", str(image), str(to)])
    return "a loop file"


def unmount(place: Place) -> None:
    """Unmount what was mounted below the run's folder."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for one in sorted((path for path in mounted if path.startswith(f"{place.data}/")), reverse=True):
        subprocess.run(["umount", "--lazy", one], capture_output=True, check=False)


_STEPS: Final = {
    "signal": _signal,
    "start": _start,
    "nft": _nft,
    "nft-off": _nft_off,
    "tc": _tc,
    "tc-off": _tc_off,
    "fill": _fill,
}
