"""The wheels that a host needs: our own, and what it depends on, for each Python; and proof that none is missing.

Owns: asking pip, as this machine has it set up, and what it has to bring. Refuses: how they are packed (``dist``).
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import Final
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT: Final = Path(__file__).parents[2]
PYTHONS: Final = ("3.11", "3.12", "3.13")
GLIBC: Final = ("2_17", "2_28")
"""Of the wheels that are taken. Debian 12 has 2.36, Ubuntu 22.04 has 2.35."""


class ReleaseError(Exception):
    """Nothing can be released. The text says why, in one line."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel file, and what it says of itself."""

    path: Path
    name: str
    version: Version
    requires: tuple[Requirement, ...]

    @classmethod
    def read(cls, path: Path) -> Wheel:
        """Return what the file holds."""
        with ZipFile(path) as archive:
            # deeper ones are of packages that it carries within
            [metadata] = [name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
            fields = HeaderParser().parsestr(archive.read(metadata).decode())
        requires = tuple(Requirement(text) for text in fields.get_all("Requires-Dist", []))
        return cls(path, canonicalize_name(fields["Name"]), Version(fields["Version"]), requires)

    @property
    def requirement(self) -> str:
        """The line of a requirements file that lets in this file and no other."""
        return f"{self.name}=={self.version} --hash=sha256:{digest(self.path)}"


def digest(path: Path) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pip(*words: str | Path, **environ: str) -> None:
    """Run pip as this machine has it set up.

    Raises:
        ReleaseError: it failed.
    """
    command = [sys.executable, "-m", "pip", *map(str, words), "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=os.environ | environ)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        wrong = next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "it says nothing")
        raise ReleaseError(f"pip {words[0]}: {wrong}")


def commit_time() -> str:
    """Return when the last commit was made, in seconds: what we build has that time, and not the clock's."""
    command = ["git", "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return done.stdout.strip() or "0"


def build(folder: Path) -> Wheel:
    """Return our own wheel, built from the working tree into this folder."""
    pip("wheel", "--no-deps", "--wheel-dir", folder, ".", SOURCE_DATE_EPOCH=commit_time())
    [path] = folder.glob("overlaycast-*.whl")
    return Wheel.read(path)


def download(own: Wheel, python: str, arch: str, folder: Path, extras: Sequence[str] = ()) -> list[Wheel]:
    """Return our wheel and all that it depends on, for one Python, in the order of their names.

    Args:
        extras: optional parts of ours that it is to have, such as ``lab``.

    Raises:
        ReleaseError: there is no wheel of something.
    """
    number = python.replace(".", "")
    words = ["--python-version", python, "--implementation", "cp"]
    for tag in (f"cp{number}", "abi3", "none"):
        words += ["--abi", tag]
    for glibc in GLIBC:
        words += ["--platform", f"manylinux_{glibc}_{arch}"]
    words += ["--platform", f"manylinux2014_{arch}", "--only-binary", ":all:", "--dest", str(folder)]
    environ = environment(python, arch)
    # named one by one: pip would decide by the Python that runs it which ones an extra has
    pip("download", *words, own.path, *(_plain(one) for extra in extras for one in required(own, environ, extra)))
    found = sorted(map(Wheel.read, folder.glob("*.whl")), key=lambda wheel: wheel.name)
    if missing := sorted(set(unsatisfied(own, found, environ, extras))):
        raise ReleaseError(f"Python {python}: pip did not bring what these are for: {', '.join(missing)}")
    return found


def environment(python: str, arch: str) -> Mapping[str, str]:
    """Return what the conditions of requirements are about: pip decides them by the Python that runs it."""
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "platform_machine": arch,
        "platform_system": "Linux",
        "sys_platform": "linux",
        "os_name": "posix",
    }


def required(wheel: Wheel, environ: Mapping[str, str], extra: str = "") -> Iterator[Requirement]:
    """Yield what a wheel requires, with one of its extras or with none."""
    for one in wheel.requires:
        if one.marker is None or one.marker.evaluate({**environ, "extra": extra}):
            yield one


def _plain(requirement: Requirement) -> str:
    """Return a requirement without its condition."""
    return str(requirement).split(";")[0].strip()


def unsatisfied(
    own: Wheel, there: Iterable[Wheel], environ: Mapping[str, str], extras: Sequence[str] = ()
) -> Iterator[str]:
    """Yield each requirement of ours, and of what we require, for which no wheel is there."""
    by_name = {wheel.name: wheel for wheel in there}
    seen: set[tuple[str, str]] = set()
    waiting = [(own, extra) for extra in ("", *extras)]
    while waiting:
        wheel, extra = waiting.pop()
        for one in required(wheel, environ, extra):
            found = by_name.get(canonicalize_name(one.name))
            if found is None or not one.specifier.contains(found.version, prereleases=True):
                yield _plain(one)
                continue
            for wanted in ("", *sorted(one.extras)):
                if (found.name, wanted) not in seen:
                    seen.add((found.name, wanted))
                    waiting.append((found, wanted))
