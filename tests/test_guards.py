"""The guards guard the same folders: what does no I/O is what `make test` covers."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
TOOLS: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
COVERED: Final = TOOLS["coverage"]["run"]["source_pkgs"]


def test_folders_that_do_no_io_are_covered() -> None:
    contracts = TOOLS["importlinter"]["contracts"]
    pure = next(one for one in contracts if one["name"] == "what decides does no I/O")["source_modules"]
    folders = {module for module in pure if (ROOT / module.replace(".", "/")).is_dir()}
    assert folders == set(COVERED)


def test_make_runs_the_tests_of_what_is_covered() -> None:
    named = re.search(r"^PURE := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert named is not None
    assert named[1].split() == [module.removeprefix("overlaycast.").replace(".", "/") for module in COVERED]
