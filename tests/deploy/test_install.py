"""The install script on a host: what it makes, what it never touches, and what it says in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.artefact import HERE, artefact


def install(place: Path, *words: str | Path, code: int = 0) -> str:
    """Run an artefact's script with the Python of the tests; return what it says, on either stream."""
    command = ["sh", str(place / "install"), "--python", sys.executable, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    assert not (done.stdout if code else done.stderr)
    return done.stdout + done.stderr


def says(program: Path) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_two_versions_stand_side_by_side_and_one_is_current(tmp_path: Path) -> None:
    prefix, bin_ = tmp_path / "opt", tmp_path / "bin"
    bin_.mkdir()
    old, new = artefact(tmp_path, "1.0"), artefact(tmp_path, "2.0")
    assert install(old, "--prefix", prefix, "--bin", bin_) == (
        f"install: made {prefix}/1.0 with Python {sys.version.split()[0]}\ninstall: {prefix}/current is 1.0 now\n"
    )
    program = bin_ / "overlaycast"
    assert os.readlink(prefix / "current") == "1.0", "relative, so that the folder can be looked at from anywhere"
    assert os.readlink(program) == f"{prefix}/current/bin/overlaycast"
    assert says(program) == "overlaycast 1.0"

    assert "current" not in install(new, "--prefix", prefix, "--no-activate")
    assert (says(program), says(prefix / "2.0" / "bin" / "overlaycast")) == ("overlaycast 1.0", "overlaycast 2.0")

    there = f"install: {prefix}/2.0 is there already\n"
    now = f"install: {prefix}/current is 2.0 now, and was 1.0\n"
    assert install(new, f"--prefix={prefix}", f"--bin={bin_}", "--activate") == there + now
    assert says(program) == "overlaycast 2.0"
    assert install(new, "--prefix", prefix, "--bin", bin_) == there, "a second run changes nothing"

    assert install(old, "--prefix", prefix).endswith(f"{prefix}/current is 1.0 now, and was 2.0\n"), "rolled back"
    assert says(program) == "overlaycast 1.0"
    assert sorted(os.listdir(prefix)) == ["1.0", "2.0", "current"]


def test_what_is_there_is_never_changed(tmp_path: Path) -> None:
    place, prefix, bin_ = artefact(tmp_path, "1.0"), tmp_path / "opt", tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "overlaycast").write_text("mine")
    line = f"install: {bin_}/overlaycast is there and is not ours; move it away, or choose another --bin\n"
    assert install(place, "--prefix", prefix, "--bin", bin_, code=1) == line
    assert not prefix.exists()

    (prefix / "1.0").mkdir(parents=True)
    (prefix / "1.0" / "notes").write_text("mine")
    line = f"install: {prefix}/1.0 is there and not complete; move it away\n"
    assert install(place, "--prefix", prefix, code=1) == line
    assert (prefix / "1.0" / "notes").read_text() == "mine"

    (prefix / "current").mkdir()
    line = f"install: {prefix}/current is there and is no link; move it away\n"
    assert install(place, "--prefix", prefix, code=1) == line


def test_a_damaged_file_is_found_and_nothing_is_left(tmp_path: Path) -> None:
    place, prefix = artefact(tmp_path, "1.0"), tmp_path / "opt"
    [wheel] = (place / "wheels").iterdir()
    wheel.write_bytes(wheel.read_bytes() + b"x")
    assert "is damaged or missing: its SHA-256 is not the one" in install(place, "--prefix", prefix, code=1)
    assert not prefix.exists()


def test_another_wheel_than_the_one_that_was_hashed_is_refused_by_pip_too(tmp_path: Path) -> None:
    """Even with sums that fit: what may be installed is said by the requirements."""
    place, prefix = artefact(tmp_path, "1.0"), tmp_path / "opt"
    requirements = place / f"requirements-{HERE}.txt"
    requirements.write_text(requirements.read_text()[:-10] + "000000000\n")
    sums = place / "SHA256SUMS"
    command = f"sha256sum {requirements.name} >> new; grep -v {requirements.name} SHA256SUMS >> new; mv new SHA256SUMS"
    subprocess.run(["sh", "-c", command], cwd=place, check=True)
    assert sums.exists()
    said = install(place, "--prefix", prefix, code=1).splitlines()
    assert said[-1] == f"install: {prefix}/1.0 could not be made; the lines above say why"
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in " ".join(said) or "Got" in " ".join(said)
    assert list(prefix.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["--prefix", "opt"], 2, "--prefix: accepted is a path that begins with / (got 'opt')"),
        (["--prefix"], 2, "--prefix: accepted is a value behind it; see --help"),
        (["--now"], 2, "no option '--now'; accepted: --prefix, --bin, --python, --activate, --no-activate"),
        (["--bin", "/no/such/folder"], 2, "--bin: /no/such/folder: no such folder"),
        (["--python", "/bin/false"], 3, "no Python to use: /bin/false is none; accepted: Python 3.98, 3.99 (--python"),
        ([], 3, f"is {HERE}; accepted: Python 3.98, 3.99 (--python PROGRAM)"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, words: list[str], code: int, line: str) -> None:
    place = artefact(tmp_path, "1.0", pythons=("3.98", "3.99"))
    said = install(place, "--prefix", tmp_path / "opt", *words, code=code)
    assert said.startswith("install: ")
    assert line in said
    assert said.count("\n") == 1
    assert not (tmp_path / "opt").exists()


def test_another_machines_artefact_is_refused(tmp_path: Path) -> None:
    place = artefact(tmp_path, "1.0", arch="vax")
    said = install(place, "--prefix", tmp_path / "opt", code=3)
    assert said == f"install: this artefact is for vax, and this machine is {os.uname().machine}\n"


def test_the_settings_of_the_hosts_pip_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "nonsense")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "wrong"))
    install(artefact(tmp_path, "1.0"), "--prefix", tmp_path / "opt")


def test_help_names_every_option(tmp_path: Path) -> None:
    said = install(artefact(tmp_path, "1.0"), "--help")
    for option in ("--prefix", "--bin", "--python", "--activate", "--no-activate"):
        assert option in said
