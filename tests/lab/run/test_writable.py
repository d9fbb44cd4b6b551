"""Where nothing can be written is told in one line, before anything is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from overlaycast.cli import main
from overlaycast.errors import ConfigError
from overlaycast.lab.run.writable import writable
from tests.lab.made_up import ROOT

EXPERIMENT = str(ROOT / "experiments" / "figure-2a.yaml")
NOWHERE = "/dev/null/x"


def test_a_folder_is_made(tmp_path: Path) -> None:
    assert writable(tmp_path / "a" / "b", "out").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_that_takes_no_files_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^out: /proc/self: .*; accepted: a folder that this user may write$"):
        writable(Path("/proc/self"), "out")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", EXPERIMENT, "--out", NOWHERE], f"overlaycast lab run: out: {NOWHERE}: Not a directory; accepted"),
        (["run", EXPERIMENT, "--junit", f"{NOWHERE}/y"], f"overlaycast lab run: junit: {NOWHERE}: Not a directory"),
        (["compare", EXPERIMENT, "--out", NOWHERE], f"overlaycast lab compare: out: {NOWHERE}: Not a directory"),
        (["schema", NOWHERE], f"overlaycast lab schema: file: {NOWHERE}: Not a directory"),
        (["list", "--folder", str(ROOT), "--results", NOWHERE], f"overlaycast lab list: results: {NOWHERE}: no such"),
        (["list", "--folder", str(ROOT), "--results", NOWHERE, "--markdown"], f"results: {NOWHERE}: no such folder"),
    ],
)
def test_commands_tell_it(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
