"""What is wrong with a host, said before anything is changed on it. Runs there, with any Python 3 that Ansible can use.

Reads nothing but its one argument, a JSON object; prints the lines, the host's time and its units as JSON. Changes
nothing: a port is tried by binding it for a moment.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import time

WHERE = ("/opt", "/var/lib")
OLDEST = (3, 11)
UNITS = ("overlaycast-coordinator.service", *(f"overlaycast-{verb}@*.service" for verb in ("send", "relay", "join")))
PYTHONS = ("python3", "python3.13", "python3.12", "python3.11")
_PROBE = "import sys, venv; print('%d.%d' % sys.version_info[:2])"


def systemd(root="/run/systemd/system"):
    """Every service here is a unit."""
    if not os.path.isdir(root):
        yield "systemd does not run this host: accepted is a host with systemd as process 1"


def python(name):
    """The program runs on it, in a virtual environment. Without a name, one that can be used is enough."""
    found = [(one, _unusable(one)) for one in ([name] if name else PYTHONS)]
    if all(why for _, why in found):
        said = ", ".join(f"{one} {why}" for one, why in found)
        yield f"overlaycast_python: {said}; accepted is Python {OLDEST[0]}.{OLDEST[1]} or newer"


def _unusable(name):
    """Return what is wrong with a Python, or nothing."""
    try:
        done = subprocess.run([name, "-c", _PROBE], capture_output=True, check=False)
    except OSError as error:
        return "is missing" if error.errno == errno.ENOENT else f"does not run: {error.strerror}"
    said = done.stdout.decode().strip()
    if done.returncode != 0:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
        return f"does not run: {last}"
    return "" if tuple(int(part) for part in said.split(".")) >= OLDEST else f"is {said}"


def ports(wanted, former=()):
    """Each address is this host's, and each port is free or taken by the unit that shall have it, or a former one."""
    for one in wanted:
        address, port = one["address"], int(one["port"])
        try:
            found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except (OSError, UnicodeError) as error:
            yield f"{one['variable']}: {address}: {getattr(error, 'strerror', None) or error}"
            continue
        family, kind, protocol, _, where = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(where)
                probe.listen(1)  # a port may be bound by two, but only one of them listens
            except OSError as error:
                yield from _refused(one, former, error)


def _refused(one, former, error):
    address, port = one["address"], one["port"]
    if error.errno == errno.EADDRNOTAVAIL:
        yield f"{one['variable']}: {address} is not an address of this host; see: ip address"
    elif error.errno != errno.EADDRINUSE:
        yield f"{one['variable']}: cannot listen on {address}, TCP port {port}: {error.strerror}"
    elif not runs(one["unit"], *former):
        yield f"TCP port {port} of {address} is taken by a program that is not {one['unit']}; see: ss -ltnp"


def runs(*units):
    """Return whether one of these units has a process: one that waits for its source listens, too."""
    command = ["systemctl", "show", "--property=MainPID", "--value", *units]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    except OSError:
        return False
    return any(word not in ("", "0") for word in done.stdout.split())


def present():
    """Return our units that run here, have failed here, or are started with the host: it may have had another role."""
    found = set()
    for kind in (["list-units", "--all"], ["list-unit-files"]):
        command = ["systemctl", *kind, "--plain", "--no-legend", "--no-pager", *UNITS]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:
            continue
        # one that has failed is remembered after its file is gone; there is nothing left to stop
        rows = [line.split() for line in done.stdout.splitlines()]
        found.update(row[0] for row in rows if row and row[1:2] != ["not-found"])
    return sorted(unit for unit in found if "@." not in unit)


def clock(controller, tolerance, now):
    """The controller's time was taken before it came here: only a clock that is behind can be told from a slow way."""
    if controller - now > tolerance:
        yield f"the clock is {controller - now:.0f} s behind the controller's; accepted is up to {tolerance:g} s"


def room(needed_mb, where=WHERE):
    """What is installed and what is recorded need room."""
    for folder in where:
        existing = folder
        while not os.path.isdir(existing):
            existing = os.path.dirname(existing)
        free_mb = shutil.disk_usage(existing).free // 1_000_000
        if free_mb < needed_mb:
            yield f"{folder} has {free_mb} MB left; overlaycast_disk_mb asks for {needed_mb}"


def programs(names):
    """What only some settings need."""
    for name, why in names.items():
        if shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
            yield f"{name} is missing, which {why} needs"


def problems(asked, now, units=()):
    """Return all that is wrong, one line each; ``units`` are those that are present."""
    wanted = {one["unit"] for one in asked["ports"]}
    return [
        *systemd(),
        *python(asked["python"]),
        *ports(asked["ports"], [unit for unit in units if unit not in wanted]),
        *clock(float(asked["time"]), float(asked["clock_tolerance_s"]), now),
        *room(int(asked["disk_mb"])),
        *programs(asked["programs"]),
    ]


if __name__ == "__main__":
    at = time.time()
    here = present()
    print(json.dumps({"time": at, "problems": problems(json.loads(sys.argv[1]), at, here), "units": here}))
