"""A Debian as a tree of files, built once and kept in ``build/machines``: what every machine of the tests starts from.

Owns: what is in it, and that a tree is whole or absent. Refuses: to run it (``machines``).
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
KEPT: Final = ROOT / "build" / "machines"
PACKAGES: Final = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "python3",  # what Ansible and overlaycast run on
    "iproute2",
    "nftables",  # for overlaycast_firewall
)
NEEDED: Final = (
    ("systemd-nspawn", "systemd-container"),
    ("mmdebstrap", "mmdebstrap"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
)
"""Programs of this machine and their packages; ``scripts/setup --tests`` installs them."""
_TIMEOUT_S: Final = 600


class NotHere(Exception):
    """This machine can start no machines; says why. Tests that need them are skipped."""


def missing() -> list[str]:
    """Return the packages that this machine lacks."""
    return sorted({package for program, package in NEEDED if shutil.which(program) is None})


def base_tree(release: str = "bookworm", more: Sequence[str] = ()) -> Path:
    """Return the tree, made now if it has not been made from the same packages before.

    Args:
        more: packages that it has besides.

    Raises:
        NotHere: it cannot be made.
    """
    KEPT.mkdir(parents=True, exist_ok=True)
    packages = (*PACKAGES, *more)
    name = hashlib.sha256(" ".join((release, *packages)).encode()).hexdigest()[:12]
    tree = KEPT / f"{release}-{name}"
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.exists():
            _make(release, packages, tree)
    return tree


def _make(release: str, packages: Sequence[str], tree: Path) -> None:
    unfinished = tree.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    # its mounts end with it, however it ends
    words = [
        "unshare",
        "--mount",
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        f"--include={','.join(packages)}",
        release,
        str(unfinished),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise NotHere(f"mmdebstrap could not make a Debian: {done.stderr[-2000:]}")
    unfinished.rename(tree)
