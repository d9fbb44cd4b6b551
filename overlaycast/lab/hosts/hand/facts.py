"""What this host has: the program, free ports, tools, room, and what runs beside. Changes nothing, but for the
timer that ends the run here.

Owns: the look. Refuses: to judge; the controller does.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from . import paths, units
from .place import DATA, Place

CURRENT: Final = Path("/opt/overlaycast/current")
_TABLE: Final = (
    "table inet overlaycast_lab_probe {\n counter one { }\n chain input { type filter hook input priority -10;\n"
    " ip saddr 192.0.2.1 tcp dport { 1, 2 } numgen random mod 1000000 < 10 counter drop\n"
    " ip saddr 192.0.2.1 limit rate over 1000 bytes/second counter drop\n counter name one\n }\n}\n"
)


def facts(place: Place, order: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts.

    Args:
        place: the run.
        order: ``ports``: first and last that may be used, ``count``: how many are needed, ``towards``: an address that
            routers are traced to, ``need``: tools to look for, ``ends_after_s``: when the run is removed unless it has
            been. A host that will take no part has the hand, too.
    """
    units.later(place, "end", order["ends_after_s"], place.hand("end"))
    tools = {"nft": _nft, "netem": _netem, "tc": _tc, "loop": _loop}
    return {
        "hostname": socket.gethostname(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "version": CURRENT.resolve().name if (CURRENT / "bin" / "overlaycast").exists() else None,
        "ports": _free(order["ports"], order["count"]),
        "routers": paths.routers(order["towards"]) if order.get("towards") else [],
        "lacks": {name: why for name in order.get("need", ()) if (why := tools[name]())},
        "room_mib": _room(),
        "beside": _beside(place),
        "clock": time.time(),
    }


def _free(bounds: tuple[int, int], count: int) -> list[int]:
    """Return the first ports that nothing listens on, on any address."""
    found: list[int] = []
    for port in range(bounds[0], bounds[1] + 1):
        if len(found) == count:
            break
        try:
            socket.create_server(("", port)).close()
        except OSError:
            continue
        found.append(port)
    return found


def _room() -> int:
    folder = next(one for one in (DATA, *DATA.parents) if one.is_dir())
    left = os.statvfs(folder)
    return left.f_bavail * left.f_frsize >> 20


def _beside(place: Place) -> list[str]:
    """Return the units of the deployment that run."""
    words = ["systemctl", "list-units", "--plain", "--no-legend", "--state=active", "overlaycast-*.service"]
    found = [line.split()[0] for line in units.said(words).splitlines() if line.strip()]
    return [one.removesuffix(".service") for one in found if not one.startswith("overlaycast-lab-")]


def _nft() -> str | None:
    """Return why nftables cannot do what counting and faults need."""
    if shutil.which("nft") is None:
        return "nftables is not installed"
    done = subprocess.run(["nft", "-c", "-f", "-"], input=_TABLE, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"nft: {(done.stderr.strip().splitlines() or ['no reason given'])[0]}"


def _tc(leaf: str = "tbf rate 1mbit burst 16kb latency 100ms") -> str | None:
    """Return why queues cannot be put before some of what leaves. Tried in a network namespace of its own."""
    if shutil.which("tc") is None:
        return "tc (iproute2) is not installed"
    script = (
        "ip link set lo up && tc qdisc add dev lo root handle 1: htb default 1"
        " && tc class add dev lo parent 1: classid 1:4 htb rate 1gbit"
        f" && tc qdisc add dev lo parent 1:4 {leaf}"
        " && tc filter add dev lo parent 1: protocol ip prio 1 u32 match ip dst 192.0.2.1/32 flowid 1:4"
    )
    done = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"tc: {(done.stderr.strip().splitlines() or ['no reason given'])[0]}"


def _netem() -> str | None:
    if (why := _tc()) is not None:
        return why
    return "the kernel has no netem (module sch_netem)" if _tc("netem delay 1ms") else None


def _loop() -> str | None:
    if shutil.which("mkfs.ext4") is None:
        return "mkfs.ext4 (e2fsprogs) is not installed"
    done = subprocess.run(["losetup", "--find"], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else "no loop device can be had"
