"""Tests that need a network of their own run themselves again inside ``run_isolated``."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

from overlaycast.lab.isolation import is_isolated, run_isolated

P = ParamSpec("P")
ROOT = Path(__file__).parents[2]
FIGURE_2A = ROOT / "topologies" / "figure_2a.py"


def inside(test: Callable[P, None]) -> Callable[P, None]:
    """Make a test start pytest for itself alone in fresh namespaces; its output is captured as the test's."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        if is_isolated():
            test(*args, **kwargs)
            return
        node = os.environ["PYTEST_CURRENT_TEST"].rpartition(" (")[0]
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
        code = run_isolated([*command, str(ROOT / node)])
        assert code == 0, f"inside its namespaces the test ended with exit code {code}; its report is above"

    return run
