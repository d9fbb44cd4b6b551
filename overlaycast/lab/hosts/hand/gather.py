"""The end of a run on this host: what was recorded goes into one file, and then all of the run is removed.

Owns: what is carried away, and that nothing of the run is left: no unit, timer, table, queue, mount or folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from . import deeds, units
from .place import Place

ARCHIVE: Final = "gathered.tar.gz"
PORTION: Final = 1 << 20


def gather(place: Place, order: Mapping[str, Any]) -> dict[str, Any]:
    """End the programs, members before the coordinator's, and return what is known of them.

    Args:
        place: the run.
        order: ``names`` of the programs, ``output`` of the member below the run's folder.
    """
    undo_all(place, "at the end of the run")
    before = {name: units.show(place, name) for name in order["names"]}
    units.stop([f"{place.unit(name)}.service" for name in order["names"]])
    with tarfile.open(place.volatile / ARCHIVE, "w:gz", compresslevel=1) as archive:
        for folder in ("journals", "logs"):
            if (place.data / folder).is_dir():
                archive.add(place.data / folder, folder)
        for name in ("deeds.jsonl", "meter.jsonl", "trees.jsonl"):
            if (place.volatile / name).exists():
                archive.add(place.volatile / name, name)
    return {
        "units": before,
        "last_words": {name: units.last_words(place, name) for name in order["names"]},
        "received": _seen(place.data / order["output"]) if order.get("output") else None,
    }


def _seen(file: Path) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with suppress(FileNotFoundError), file.open("rb") as opened:
        while portion := opened.read(PORTION):
            digest.update(portion)
            size += len(portion)
    return {"size": size, "sha256": digest.hexdigest()}


def undo_all(place: Place, why: str) -> None:
    """Undo every deed that is not undone."""
    timers = [one for one in units.all_of(place) if one.startswith(place.unit("fault-")) and one.endswith(".timer")]
    units.stop(timers)
    for file in sorted((place.volatile / "deeds").glob("*.json")):
        if not (file.with_suffix(".undone")).exists():
            deeds.undo(place, file.stem, why)


def remove(place: Place, *, keep: bool = False) -> None:
    """Remove the run from this host.

    Args:
        place: the run.
        keep: journals and logs stay in ``data``; only root can read them. So it is where no controller has taken them.
    """
    with suppress(units.HandError):
        undo_all(place, "at the end of the run")
    mine = _own_unit()
    names = [one for one in units.all_of(place) if one != f"{mine}.service"]
    units.stop([one for one in names if one.endswith(".timer")])
    units.stop([one for one in names if not one.endswith(".timer")])
    for table in _tables(place):
        subprocess.run(["nft", "delete", "table", "inet", table], capture_output=True, check=False)
    deeds.unmount(place)
    if keep:
        for folder in ("received", "state"):
            shutil.rmtree(place.data / folder, ignore_errors=True)
        with suppress(FileNotFoundError):
            shutil.copy(place.log, place.data / "deeds.jsonl")
            os.chown(place.data, 0, 0, follow_symlinks=False)
            place.data.chmod(0o700)
    else:
        shutil.rmtree(place.data, ignore_errors=True)
    shutil.rmtree(place.volatile, ignore_errors=True)
    for root in (place.data_root, place.volatile_root):
        with suppress(OSError):
            root.rmdir()


def _own_unit() -> str:
    """Return the unit that this process belongs to, if it is one of the run's own timers."""
    text = Path("/proc/self/cgroup").read_text().strip().rpartition("/")[2]
    return text.removesuffix(".service")


def _tables(place: Place) -> list[str]:
    if shutil.which("nft") is None:
        return []
    done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
    found = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("table inet ")]
    return [one for one in found if one == place.table or one.startswith(f"{place.table}_")]
