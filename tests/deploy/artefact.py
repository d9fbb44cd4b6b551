"""A small artefact in the form of the real one: its program only says its version; the install script is real."""

from __future__ import annotations

import base64
import hashlib
import platform
import shutil
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


def _wheel(folder: Path, version: str) -> Path:
    path = folder / f"overlaycast-{version}-py3-none-any.whl"
    info = f"overlaycast-{version}.dist-info"
    files = {
        "overlaycast_said.py": f"def main() -> None:\n    print('overlaycast {version}')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: overlaycast\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\noverlaycast = overlaycast_said:main\n",
    }
    rows = []
    with ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
            sha256 = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            rows.append(f"{name},sha256={sha256},{len(text)}\n")
        archive.writestr(f"{info}/RECORD", "".join(rows) + f"{info}/RECORD,,\n")
    return path


def artefact(folder: Path, version: str, pythons: tuple[str, ...] = (HERE,), arch: str = platform.machine()) -> Path:
    """Return a folder as it is unpacked on a host."""
    place = folder / f"overlaycast-{version}-{arch}"
    (place / "wheels").mkdir(parents=True)
    digest = hashlib.sha256(_wheel(place / "wheels", version).read_bytes()).hexdigest()
    for python in pythons:
        (place / f"requirements-{python}.txt").write_text(f"overlaycast=={version} --hash=sha256:{digest}\n")
    with ZipFile(place / "pip.whl", "w") as archive:
        root = Path(sysconfig.get_path("purelib")) / "pip"
        for path in sorted(root.rglob("*.py")) + sorted(root.rglob("*.pem")) + sorted(root.rglob("*.txt")):
            archive.write(path, path.relative_to(root.parent))
    (place / "VERSION").write_text(f"{version}\n")
    (place / "ARCH").write_text(f"{arch}\n")
    shutil.copy(ROOT / "scripts" / "release" / "install", place / "install")
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(place)}\n"
        for path in sorted(place.rglob("*"))
        if path.is_file()
    ]
    (place / "SHA256SUMS").write_text("".join(sums))
    return place
