"""Run the command in the arguments as an ordinary user, uid 65534, in the folder that is its first argument.

Started by root in a mount namespace of its own. There /dev/net/tun is open to everybody, as most systems have it, and
the interpreter and the project can be reached even if they lie in somebody's closed home: of that nothing else is seen.
Exit code 77: this machine does not let us prepare that; standard error says what.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

NOBODY = "65534"
SKIP = 77
TUN = Path("/dev/net/tun")
NEEDED = (Path(sys.base_prefix), Path(sys.prefix), Path(__file__).resolve().parents[3])


def closed_above(path: Path) -> Path | None:
    """Return the first folder on the way to ``path`` that others may not enter."""
    return next((folder for folder in reversed(path.parents) if not folder.stat().st_mode & 0o001), None)


def do(*words: str) -> None:
    subprocess.run(words, check=True)


def open_tun(stage: Path) -> None:
    tun = stage / "tun"
    do("mknod", "--mode=666", str(tun), "c", "10", "200")
    do("mount", "--bind", str(tun), str(TUN))


def open_homes(stage: Path) -> None:
    """Put empty open folders over closed ones, with what we need at its place in them."""
    closed = {path: home for path in NEEDED if (home := closed_above(path)) is not None}
    for number, path in enumerate(closed):
        kept = stage / str(number)
        kept.mkdir()
        do("mount", "--bind", str(path), str(kept))
    for home in sorted(set(closed.values())):
        do("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(home))
    for number, path in enumerate(closed):
        path.mkdir(parents=True, exist_ok=True)
        do("mount", "--bind", str(stage / str(number)), str(path))


if __name__ == "__main__":
    folder, *command = sys.argv[1:]
    stage = Path("/run")
    try:
        do("mount", "-t", "tmpfs", "-o", "mode=755,dev", "tmpfs", str(stage))
        open_tun(stage)
        open_homes(stage)
    except (OSError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        sys.exit(SKIP)
    os.chdir(folder)
    os.environ |= {"HOME": folder, "TMPDIR": folder, "USER": "nobody", "LOGNAME": "nobody"}
    os.execvp("setpriv", ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--", *command])
