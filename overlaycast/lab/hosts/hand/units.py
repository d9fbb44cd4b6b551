"""Transient systemd units of a run: started, looked at, ended; and timers that act though no one else is there.

Owns: the words of ``systemd-run`` and ``systemctl``. A program that ended well stays listed (``RemainAfterExit``), so
that its exit code can be read.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .place import Place, user

PATIENCE_S: Final = 20.0
SHOWN: Final = ("ActiveState", "SubState", "MainPID", "ExecMainStatus", "ExecMainCode", "CPUUsageNSec", "Result")
HARDENED: Final = (
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "LimitNOFILE=16384",
    "MemoryMax=1G",
    "TasksMax=64",
)


class HandError(Exception):
    """What could not be done here, in one line."""


def said(words: Sequence[str], text: str | None = None, patience_s: float = PATIENCE_S) -> str:
    """Run a program and return what it printed.

    Raises:
        HandError: it failed; its first words are in the text.
    """
    try:
        done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=patience_s, check=False)
    except FileNotFoundError:
        raise HandError(f"{words[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise HandError(f"{words[0]} did not end within {patience_s:g} s") from None
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise HandError(f"{words[0]} failed with {done.returncode}: {lines[0] if lines else 'it gave no reason'}")
    return done.stdout


def start(place: Place, name: str, order: Mapping[str, Any]) -> None:
    """Start a program as a unit, and remember how.

    Args:
        place: the run.
        name: of the unit.
        order: ``words``, the command; ``root``: it runs as root, without a cage, for it serves the run itself;
            ``properties``: further ones of the unit; ``token``: it reads the join token.
    """
    file = place.command(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(dict(order)))
    start_again(place, name)


def start_again(place: Place, name: str) -> None:
    """Start a program as it was started before; an earlier process of it must have ended."""
    order = json.loads(place.command(name).read_text())
    unit = place.unit(name)
    subprocess.run(["systemctl", "stop", f"{unit}.service"], capture_output=True, check=False)
    subprocess.run(["systemctl", "reset-failed", f"{unit}.service"], capture_output=True, check=False)
    said(["systemd-run", f"--unit={unit}", *_properties(place, name, order), "--", *order["words"]])


def _properties(place: Place, name: str, order: Mapping[str, Any]) -> list[str]:
    log = place.data / "logs" / f"{name}.log"
    found = ["RemainAfterExit=yes", "StandardOutput=null", f"StandardError=append:{log}", *order.get("properties", ())]
    found += ["CPUAccounting=yes", f"Description=overlaycast experiment {place.run}: {name}"]
    if not order.get("root"):
        name_, group = user()
        found += [f"User={name_}", f"Group={group}", *HARDENED, f"ReadWritePaths={place.data}"]
    if order.get("token"):
        found += [f"LoadCredential=token:{place.volatile / 'token'}"]
    return [f"--property={one}" for one in found]


def show(place: Place, name: str) -> dict[str, str]:
    """Return how a unit is."""
    text = said(["systemctl", "show", f"{place.unit(name)}.service", f"--property={','.join(SHOWN)}"])
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def pid(place: Place, name: str) -> int:
    """Return the main process of a unit; 0 if it has none."""
    return int(show(place, name).get("MainPID") or 0)


def running(state: Mapping[str, str]) -> bool:
    """Return whether a unit's program runs."""
    return int(state.get("MainPID") or 0) > 0


def last_words(place: Place, name: str) -> str:
    """Return the last line of a program's log."""
    try:
        lines = (place.data / "logs" / f"{name}.log").read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1][:500] if lines else "it said nothing"


def later(place: Place, name: str, after_s: float, words: Sequence[str]) -> None:
    """Have systemd run a command after so many seconds, whoever is there then.

    An earlier timer of this name is replaced.
    """
    unit = place.unit(name)
    stop([f"{unit}.timer"])
    timer = [f"--on-active={max(0.0, after_s):.3f}", "--timer-property=AccuracySec=1ms"]
    # a deed that was done may be done anew under the same name
    said(["systemd-run", f"--unit={unit}", "--collect", *timer, "--", *words])


def stop(names: Sequence[str]) -> None:
    """End units; those that are not there need not be ended."""
    if names:
        subprocess.run(["systemctl", "stop", *names], capture_output=True, check=False, timeout=60)
        subprocess.run(["systemctl", "reset-failed", *names], capture_output=True, check=False, timeout=60)


def all_of(place: Place) -> list[str]:
    """Return all units of the run that systemd knows."""
    words = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "--full", f"{place.unit('')}*"]
    return [line.split()[0] for line in said(words).splitlines() if line.strip()]


def state_of(process: int) -> str:
    """Return the kernel's letter for a process's state; empty: there is none."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return ""


def until(condition: Any, patience_s: float) -> bool:
    """Return whether a condition came to hold within so many seconds."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
