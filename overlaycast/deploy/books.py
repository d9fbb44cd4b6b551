"""The playbooks and the file that hosts install from: where they are on this machine.

Owns: the order in which they are looked for. Refuses: to make them (``make dist``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from overlaycast.errors import ConfigError

_HERE: Final = Path(__file__).parent
_CLONE: Final = _HERE.parents[1]
_FILE: Final = re.compile(r"overlaycast-(?P<version>[0-9][^/]*)-(?P<arch>x86_64|aarch64)\.tar")


def playbook(name: str) -> Path:
    """Return a playbook of this version: beside this file where it was installed, or in the clone.

    Raises:
        ConfigError: the installation is not whole.
    """
    folders = (_HERE / "playbooks", _CLONE / "playbooks")
    for folder in folders:
        if (found := folder / f"{name}.yml").is_file():
            return found
    raise ConfigError(f"{folders[0]}: no {name}.yml: this installation lacks its playbooks; install it again")


def artefact(file: Path | None, where: Path | None = None) -> dict[str, str]:
    """Return the variables that tell the playbooks what to install.

    Args:
        file: what the user named; None: each host gets what suits it from ``dist``, here or in the clone.
        where: the working directory.

    Raises:
        ConfigError: the file is not there, or is none of ours.
    """
    if file is None:
        folders = ((where or Path.cwd()) / "dist", _CLONE / "dist")
        # for a playbook's own variables to count, it is told the folder, and not the file
        return next(({"overlaycast_dist": str(one)} for one in folders if any(one.glob("overlaycast-*.tar"))), {})
    named = _FILE.fullmatch(file.name)
    if named is None:
        raise ConfigError(f"artefact: {file}: accepted is a file of make dist: overlaycast-VERSION-ARCH.tar")
    if not file.is_file():
        raise ConfigError(f"artefact: {file}: no such file; make dist makes it")
    return {"overlaycast_artefact": str(file.resolve()), "overlaycast_version": named["version"]}
