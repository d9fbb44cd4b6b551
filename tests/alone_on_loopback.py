"""Plays with real programs, in a network of their own that has nothing but loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.lab.made_up import ROOT


def played(module: str, folder: Path) -> dict[str, Any]:
    """Run a module that plays in ``folder``, and return what it printed of it."""
    words = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    done = subprocess.run(
        [*words, sys.executable, "-m", module, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0
    return dict(json.loads(done.stdout))
