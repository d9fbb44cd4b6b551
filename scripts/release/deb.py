"""``make deb``: a Debian package with the programs, the Python packages that they need, units, man pages, completion.

Owns: what is where on a Debian host. Refuses: the words of the package (``debian/``). Only Debian's ``dpkg-deb`` is
needed. The wheels are those of ``dist``, unpacked by pip; they fit the Python of one Debian release.

The tree in /usr/lib/overlaycast is a virtual environment, so that the programs find their packages, and no others.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from scripts.release.commands import overlaycast
from scripts.release.completion import bash, zsh
from scripts.release.manual import pages
from scripts.release.wheels import ROOT, ReleaseError, Wheel, build, commit_time, digest, download, pip

FILES: Final = ROOT / "scripts" / "release" / "debian"
UNITS: Final = ROOT / "overlaycast" / "deploy" / "units"
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
HOME: Final = "usr/lib/overlaycast"


def _programs(tree: Path, own: Wheel, python: str, arch: str) -> None:
    """Put the programs and their packages in place."""
    home = tree / HOME
    packages = home / "lib" / f"python{python}" / "site-packages"
    with TemporaryDirectory() as place:
        found = download(own, python, arch, Path(place))
        lines = Path(place) / "requirements.txt"
        lines.write_text("".join(f"{wheel.requirement}\n" for wheel in found))
        words = ["--no-index", "--no-deps", "--no-compile", "--require-hashes", "--find-links", place]
        target = ["--target", str(packages), "--only-binary", ":all:", "--python-version", python]
        for wheel_platform in (f"manylinux_2_17_{arch}", f"manylinux_2_28_{arch}", f"manylinux2014_{arch}"):
            target += ["--platform", wheel_platform]
        pip("install", *words, *target, "--requirement", lines)
    shutil.rmtree(packages / "bin", ignore_errors=True)
    bin_ = home / "bin"
    bin_.mkdir()
    (bin_ / "python3").symlink_to(f"/usr/bin/python{python}")
    (bin_ / "python").symlink_to("python3")
    (home / "pyvenv.cfg").write_text(f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {python}\n")
    program = bin_ / "overlaycast"
    program.write_text(f"#!/{HOME}/bin/python3\nimport sys\n\nfrom overlaycast.cli import main\n\nsys.exit(main())\n")
    program.chmod(0o755)
    (tree / "usr" / "bin").mkdir()
    (tree / "usr" / "bin" / "overlaycast").symlink_to("../lib/overlaycast/bin/overlaycast")


def _around(tree: Path, version: str, seconds: int) -> None:
    """Put in place what the host has besides the programs."""
    program = overlaycast()
    share = tree / "usr" / "share"
    doc = share / "doc" / "overlaycast"
    for name, text in pages(program, seconds).items():
        _write(share / "man" / "man1" / f"{name}.gz", text)
    _write(share / "bash-completion" / "completions" / "overlaycast", bash(program))
    _write(share / "zsh" / "vendor-completions" / "_overlaycast", zsh(program))
    _write(doc / "copyright", (FILES / "copyright").read_text())
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(seconds))
    author = "the overlaycast developers <overlaycast@localhost>"
    news = f"overlaycast ({version}) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- {author}  {date}\n"
    _write(doc / "changelog.Debian.gz", news)
    _write(doc / "changelog.gz", (ROOT / "CHANGELOG.md").read_text())
    _write(doc / "examples" / "GROUP.toml", (FILES / "GROUP.toml").read_text())
    _write(share / "lintian" / "overrides" / "overlaycast", (FILES / "overrides").read_text())
    _write(tree / "etc" / "overlaycast" / "coordinator.toml", (FILES / "coordinator.toml").read_text())
    for unit in UNITS.iterdir():
        _write(tree / "lib" / "systemd" / "system" / unit.name, unit.read_text())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    path.write_bytes(gzip.compress(data, 9, mtime=0) if path.suffix == ".gz" else data)


def _control(tree: Path, version: str, python: str, arch: str) -> None:
    """Put in place what dpkg reads."""
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    for path in (*tree.rglob("*"), tree):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path == tree / HOME / "bin" / "overlaycast" else 0o644)
    sums = "".join(f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n" for path in files)
    major, minor = python.split(".")
    text = (FILES / "control").read_text().format(
        version=version, architecture=ARCHITECTURES[arch], kib=sum(path.stat().st_size for path in files) // 1024 + 1,
        python=python, next_python=f"{major}.{int(minor) + 1}",
    )  # fmt: skip
    folder = tree / "DEBIAN"
    folder.mkdir()
    (folder / "control").write_text(text)
    (folder / "md5sums").write_text(sums)
    (folder / "conffiles").write_text("/etc/overlaycast/coordinator.toml\n")
    for script in ("postinst", "prerm", "postrm"):
        shutil.copyfile(FILES / script, folder / script)
        (folder / script).chmod(0o755)


def make(out: Path, python: str, arch: str) -> Path:
    """Return the package, made in a folder.

    Raises:
        ReleaseError: it cannot be made.
    """
    if shutil.which("dpkg-deb") is None:
        raise ReleaseError("dpkg-deb is missing; install the package dpkg")
    if arch not in ARCHITECTURES:
        raise ReleaseError(f"--arch: accepted are {', '.join(ARCHITECTURES)} (got {arch})")
    seconds = int(commit_time())
    with TemporaryDirectory() as place:
        own = build(Path(place))
        version, tree = f"{own.version}-1+py{python}", Path(place) / "tree"
        tree.mkdir()
        _programs(tree, own, python, arch)
        _around(tree, version, seconds)
        _control(tree, version, python, arch)
        out.mkdir(parents=True, exist_ok=True)
        target = out / f"overlaycast_{version}_{ARCHITECTURES[arch]}.deb"
        command = ["dpkg-deb", "--root-owner-group", "-Zxz", "-z3", "--build", str(tree), str(target)]
        environ = {**os.environ, "SOURCE_DATE_EPOCH": str(seconds)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
        if done.returncode:
            raise ReleaseError(f"dpkg-deb: {done.stderr.strip().splitlines()[-1]}")
    return target


def main(argv: Sequence[str] | None = None) -> int:
    """Make the package and print its name and its SHA-256."""
    parser = argparse.ArgumentParser(prog="deb", description="Makes a Debian package of overlaycast.")
    parser.add_argument("--python", default="3.11", help="of the Debian release: 3.11 in 12, 3.13 in 13; default: 3.11")
    parser.add_argument("--arch", default=platform.machine(), help="x86_64 or aarch64; default: this machine's")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the package; default: dist")
    options = parser.parse_args(argv)
    try:
        target = make(options.out, options.python, options.arch)
    except ReleaseError as error:
        print(f"deb: {error}", file=sys.stderr)
        return 1
    print(f"{digest(target)}  {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
