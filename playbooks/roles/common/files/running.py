"""Which units of a host run something else than what is installed now. Runs there, with any Python 3.

A run of a playbook may end between a new file and the restart of what reads it; so the next run looks, and does not
rely on what it changed itself. Reads nothing but its one argument, a JSON object; prints JSON. Changes nothing.
"""

from __future__ import annotations

import calendar
import json
import os
import subprocess
import sys
import time

_ASKED = ("Id", "ActiveState", "MainPID", "ExecMainStartTimestamp")


def shown(units):
    """Yield what systemd says of each unit, as a dict."""
    command = ["systemctl", "show", "--property=" + ",".join(_ASKED), *units]
    plain = dict(os.environ, TZ="UTC", LC_ALL="C")
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=plain)
    for block in done.stdout.strip().split("\n\n"):
        yield dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def old(said, version, files, proc="/proc"):
    """Return why a unit that runs must be restarted, or nothing."""
    try:
        with open(os.path.join(proc, said["MainPID"], "cmdline"), "rb") as file:
            words = file.read().decode(errors="replace").split("\0")
    except OSError:
        return ""  # it has ended, and is started again with what is installed
    if not any(f"/opt/overlaycast/{version}/" in word for word in words):
        return f"it runs another version than {version}"
    # both are times of the host's clock when it happened; a whole second, as systemd tells no less
    started = calendar.timegm(time.strptime(said["ExecMainStartTimestamp"], "%a %Y-%m-%d %H:%M:%S UTC"))
    newer = [path for path in files if os.path.exists(path) and int(os.stat(path).st_mtime) > started]
    return f"{', '.join(newer)} is newer than it" if newer else ""


def look(asked):
    """Return which units run, and which of them must be restarted, with the reason."""
    units = {one["unit"]: one["files"] for one in asked["units"]}
    said = [one for one in (shown(units) if units else ()) if one.get("ActiveState") in ("active", "activating")]
    why = {one["Id"]: old(one, asked["version"], units[one["Id"]]) for one in said}
    return {"active": sorted(why), "old": {unit: reason for unit, reason in sorted(why.items()) if reason}}


if __name__ == "__main__":
    print(json.dumps(look(json.loads(sys.argv[1]))))
