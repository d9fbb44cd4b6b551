"""The file that ``make dist`` makes, built from the working tree once for each state that it is in.

Owns: that it is built anew when what goes into it has changed, and the same program with another number, for upgrades.
Refuses: how it is built.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from overlaycast import __version__
from tests.deploy.base_tree import KEPT, ROOT

PYTHON: Final = "3.11"
"""Of the base tree."""
NEXT: Final = "99.0"
"""The number of what is upgraded to."""
_PARTS: Final = ("overlaycast", "playbooks", "scripts", "pyproject.toml", "README.md", "LICENSE", "docs")
_TIMEOUT_S: Final = 600


def artefact(version: str = __version__, extra: str = "") -> Path:
    """Return the file, built now if there is none of this state.

    Args:
        extra: an optional part that it has too, such as ``lab``.
    """
    folder = KEPT / "artefacts" / _state()
    target = folder / f"overlaycast-{extra}{'-' if extra else ''}{version}-{platform.machine()}.tar"
    if not target.exists():
        with TemporaryDirectory() as place:
            _build(version, Path(place), folder, ["--extra", extra] if extra else [])
    return target


def template() -> str:
    """Return the variable ``overlaycast_artefact`` for both numbers."""
    return str(artefact().with_name(f"overlaycast-{{{{ overlaycast_version }}}}-{platform.machine()}.tar"))


def _state() -> str:
    """Return a name for what hosts run. The playbooks are in the file, too, but no host uses them."""
    known = hashlib.sha256()
    for part in ("overlaycast", "scripts/release", "pyproject.toml"):
        top = ROOT / part
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and path.suffix != ".pyc":
                known.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return known.hexdigest()[:12]


def _build(version: str, place: Path, out: Path, more: list[str]) -> None:
    for part in _PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, place / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, place / part)
    for name, line in (("pyproject.toml", "version"), ("overlaycast/__init__.py", "__version__")):
        path = place / name
        path.write_text(re.sub(rf'(?m)^{line} = ".*"$', f'{line} = "{version}"', path.read_text(), count=1))
    words = [sys.executable, "-m", "scripts.release.dist", "--python", PYTHON, "--out", str(out), *more]
    done = subprocess.run(words, cwd=place, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
