"""``make dist``: one file with all that a host needs to install overlaycast, besides Python: wheels, hashes, a script.

Owns: what is in it, and that the same input makes the same bytes. Refuses: to install (``install``).
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.release.wheels import PYTHONS, ROOT, ReleaseError, Wheel, build, commit_time, digest, download, pip


def collect(folder: Path, own: Wheel, pythons: Sequence[str], arch: str, extras: Sequence[str] = ()) -> None:
    """Fill a folder with what the file is to hold."""
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    for python in pythons:
        with TemporaryDirectory() as place:
            found = download(own, python, arch, Path(place), extras)
            for wheel in found:
                shutil.copyfile(wheel.path, wheels / wheel.path.name)
            lines = "".join(f"{wheel.requirement}\n" for wheel in found)
        (folder / f"requirements-{python}.txt").write_text(lines)
    with TemporaryDirectory() as place:
        # runs from its wheel: neither the host's pip nor its ensurepip, which Debian packs apart, is needed
        pip("download", "--no-deps", "--only-binary", ":all:", "--dest", place, "pip")
        [bootstrap] = Path(place).glob("pip-*.whl")
        shutil.copyfile(bootstrap, folder / "pip.whl")
    (folder / "VERSION").write_text(f"{own.version}\n")
    (folder / "ARCH").write_text(f"{arch}\n")
    shutil.copyfile(ROOT / "scripts" / "release" / "install", folder / "install")
    shutil.copyfile(ROOT / "LICENSE", folder / "LICENSE")
    sums = (f"{digest(path)}  {path.relative_to(folder)}\n" for path in sorted(folder.rglob("*")) if path.is_file())
    (folder / "SHA256SUMS").write_text("".join(sums))


def pack(folder: Path, target: Path, seconds: int) -> None:
    """Write a folder as one file: in the order of names, by root, at this time."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = seconds
        entry.mode = 0o755 if entry.isdir() or entry.name.endswith("/install") else 0o644
        return entry

    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".unfinished")
    with tarfile.open(unfinished, "w", format=tarfile.USTAR_FORMAT) as archive:
        archive.add(folder, folder.name, recursive=False, filter=plain)
        for path in sorted(folder.rglob("*")):
            archive.add(path, f"{folder.name}/{path.relative_to(folder)}", recursive=False, filter=plain)
    os.replace(unfinished, target)


def main(argv: Sequence[str] | None = None) -> int:
    """Make the file and print its name and its SHA-256."""
    parser = argparse.ArgumentParser(prog="dist", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--python", action="append", metavar="3.NN", help="a Python to bring wheels for; may be repeated"
    )
    parser.add_argument("--arch", default=platform.machine(), help="x86_64 or aarch64; default: this machine's")
    parser.add_argument("--extra", action="append", choices=["lab"], default=[], help="lab: bring the testbed too")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the file; default: dist")
    options = parser.parse_args(argv)
    try:
        with TemporaryDirectory() as place:
            own = build(Path(place))
            folder = Path(place) / "-".join(["overlaycast", *options.extra, str(own.version), options.arch])
            collect(folder, own, options.python or PYTHONS, options.arch, options.extra)
            target = options.out / f"{folder.name}.tar"
            pack(folder, target, int(commit_time()))
    except ReleaseError as error:
        print(f"dist: {error}", file=sys.stderr)
        return 1
    print(f"{digest(target)}  {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
