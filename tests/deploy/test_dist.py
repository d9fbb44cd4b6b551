"""The file that is carried to hosts: complete for each Python, the same bytes from the same input, works offline."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from overlaycast import __version__
from scripts.release.dist import pack
from scripts.release.wheels import ROOT, Wheel, environment, unsatisfied


def wheel(name: str, version: str = "1.0", *requires: str) -> Wheel:
    return Wheel(Path(name), name, Version(version), tuple(map(Requirement, requires)))


@pytest.mark.parametrize(
    ("python", "there", "missing"),
    [
        ("3.12", [wheel("a"), wheel("b", "2.1")], []),
        ("3.12", [wheel("a")], ["b>=2"]),
        ("3.12", [wheel("a"), wheel("b", "1.9")], ["b>=2"]),
        ("3.12", [wheel("a", "1.0", "c[fast]; python_version >= '3.12'"), wheel("b", "2.1")], ["c[fast]"]),
        ("3.11", [wheel("a", "1.0", "c[fast]; python_version >= '3.12'"), wheel("b", "2.1")], []),
        ("3.12", [wheel("a", "1", "c[fast]"), wheel("b", "2"), wheel("c", "1", "d; extra == 'fast'")], ["d"]),
        ("3.12", [wheel("a", "1", "c"), wheel("b", "2"), wheel("c", "1", "d; extra == 'fast'", "A")], []),
        ("3.12", [wheel("a", "1", "c; sys_platform == 'win32'"), wheel("b", "2")], []),
    ],
)
def test_what_another_python_needs_is_not_forgotten(python: str, there: list[Wheel], missing: list[str]) -> None:
    own = wheel("overlaycast", "1.0", "a", "b>=2", "networkx; extra == 'lab'")
    assert list(unsatisfied(own, there, environment(python, "x86_64"))) == missing


@pytest.mark.parametrize(("python", "missing"), [("3.11", ["networkx"]), ("3.12", ["networkx", "setuptools>=68"])])
def test_an_extra_is_asked_for_by_the_python_that_will_run_it(python: str, missing: list[str]) -> None:
    requires = ("a", "networkx; extra == 'lab'", "setuptools>=68; extra == 'lab' and python_version >= '3.12'")
    own, environ = wheel("overlaycast", "1.0", *requires), environment(python, "x86_64")
    assert list(unsatisfied(own, [wheel("a")], environ)) == []
    assert list(unsatisfied(own, [wheel("a")], environ, ["lab"])) == missing


def test_a_wheel_may_carry_packages_within(tmp_path: Path) -> None:
    path = tmp_path / "a-1.0-py3-none-any.whl"
    with ZipFile(path, "w") as archive:
        for folder, name in (("a/_vendor/b-2.0.dist-info", "b"), ("a-1.0.dist-info", "a")):
            archive.writestr(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    assert Wheel.read(path).name == "a"


def test_the_same_input_makes_the_same_bytes(tmp_path: Path) -> None:
    packed = []
    for number, mode in enumerate((0o600, 0o666)):
        folder = tmp_path / str(number) / "overlaycast-1.0-x86_64"
        (folder / "wheels").mkdir(parents=True)
        names = ("install", "wheels/b.whl", "wheels/a.whl")
        for name in names if number else reversed(names):
            (folder / name).write_text(name)
            (folder / name).chmod(mode)
            os.utime(folder / name, (number, number))
        pack(folder, tmp_path / f"{number}.tar", 1_700_000_000)
        packed.append((tmp_path / f"{number}.tar").read_bytes())
    assert packed[0] == packed[1]
    with tarfile.open(tmp_path / "0.tar") as archive:
        modes = {entry.name.partition("/")[2]: entry.mode for entry in archive}
    assert modes == {"": 0o755, "install": 0o755, "wheels": 0o755, "wheels/a.whl": 0o644, "wheels/b.whl": 0o644}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real file."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "scripts.release.dist", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    [path] = out.iterdir()
    assert done.stdout.split()[1] == str(path)
    return path


OFFLINE = """
set -eu
if ping -c 1 -W 1 192.0.2.1 >/dev/null 2>&1; then echo "there is a network"; exit 1; fi
ip link set lo up
tar -xf "$1" -C "$2"
"$2"/overlaycast-*/install --prefix "$2/opt" --bin "$2/bin" --python "$3"
"$2/bin/overlaycast" --version
"$2/bin/overlaycast" coordinator --listen 127.0.0.1:8470 --state "$2/state" &
until [ -S "$2/state/admin.sock" ]; do sleep 0.1; done
"$2/bin/overlaycast" group create news --admin-token-file "$2/state/admin.token" >/dev/null
"$2/bin/overlaycast" group list --admin-token-file "$2/state/admin.token"
kill -TERM $!
wait $!
"""


@pytest.mark.slow
@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take the network away")
def test_it_is_installed_and_runs_without_a_network(released: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    python = Path(sys.executable).resolve()  # not the one of a virtual environment, which a host has not
    command = ["unshare", "-n", "sh", "-c", OFFLINE, "sh", str(released), str(tmp_path), str(python)]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env={"PATH": os.defpath})
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"overlaycast {__version__}\n" in done.stdout
    assert "news" in done.stdout.splitlines()[-1]
    print(f"installed and run in {time.monotonic() - began:.0f} s")


@pytest.mark.slow
def test_it_has_the_units_and_wheels_for_every_python(released: Path, tmp_path: Path) -> None:
    with tarfile.open(released) as archive:
        archive.extractall(tmp_path, filter="data")
    [folder] = tmp_path.iterdir()
    names = {path.name for path in folder.iterdir()}
    assert {"install", "pip.whl", "SHA256SUMS", "VERSION", "ARCH", "LICENSE"} < names
    for python in ("3.11", "3.12", "3.13"):
        lines = (folder / f"requirements-{python}.txt").read_text().splitlines()
        assert len(lines) > 20
        assert all("--hash=sha256:" in line for line in lines)
        number = python.replace(".", "")
        assert list((folder / "wheels").glob(f"uvloop-*-cp{number}-*.whl"))
    [own] = (folder / "wheels").glob("overlaycast-*.whl")
    with ZipFile(own) as wheel_file:
        parts = [Path(name) for name in wheel_file.namelist()]
    units = {part.name for part in parts if part.parent == Path("overlaycast/deploy/units")}
    assert units == {file.name for file in (ROOT / "overlaycast/deploy/units").iterdir()}
    assert len(units) > 4
