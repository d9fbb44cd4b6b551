"""Tests that need a network of their own run inside ``run_isolated``: all of a file together, once per session.

``@inside`` marks them. The first of a file that pytest comes to starts another pytest, in fresh namespaces, for all
of the file that were selected; each then reports what became of it there.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec
from xml.etree import ElementTree

import pytest

from overlaycast.lab.network.isolation import is_isolated, run_isolated

P = ParamSpec("P")
ROOT = Path(__file__).parents[2]
FIGURE_2A = ROOT / "topologies" / "figure_2a.py"


@dataclass(frozen=True)
class Outcome:
    """What became of a test inside: why it failed, or why it was skipped; both empty where it passed."""

    complaint: str = ""
    skipped: str = ""


_NOT_RUN = Outcome("did not run inside its namespaces; see the first test of this file")
_selected: dict[str, list[str]] = defaultdict(list)
_outcomes: dict[str, dict[str, Outcome]] = {}
_passed_on: set[str] = set()
"""Words of pytest's command line that count inside too."""


def inside(test: Callable[P, None]) -> Callable[P, None]:
    """Have a test run in namespaces of its file's own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        if is_isolated():
            test(*args, **kwargs)
            return
        node = os.environ["PYTEST_CURRENT_TEST"].rpartition(" (")[0]
        file, _, name = node.partition("::")
        if file not in _outcomes:
            _outcomes[file] = _run(_selected.get(file) or [node])
        outcome = _outcomes[file].get(name, _NOT_RUN)
        if outcome.skipped:
            pytest.skip(outcome.skipped)
        assert not outcome.complaint, outcome.complaint

    run.inside = True  # type: ignore[attr-defined]
    return run


def select(items: list[pytest.Item]) -> None:
    """Take note of what is going to run (``conftest.py`` calls it after all deselection)."""
    for item in items:
        if item.config.getoption("capture") == "no":
            _passed_on.add("--capture=no")
        if getattr(getattr(item, "function", None), "inside", False):
            nodes = _selected[item.nodeid.partition("::")[0]]
            if item.nodeid not in nodes:  # several folders call this
                nodes.append(item.nodeid)


def _run(nodes: list[str]) -> dict[str, Outcome]:
    """Return what became of each test, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--no-header",
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
            *_passed_on,
        ]
        run_isolated([*command, *(str(ROOT / node) for node in nodes)])
        cases = ElementTree.parse(report).iter("testcase") if report.exists() else ()
        return {str(case.get("name")): _outcome(case) for case in cases}


def _outcome(case: ElementTree.Element) -> Outcome:
    said = [child for child in case if child.tag != "skipped"]
    return Outcome(
        "\n".join(child.text or child.tag for child in said),
        "" if said else "; ".join(child.get("message", "skipped") for child in case),
    )
