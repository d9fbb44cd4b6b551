"""Stock Mininet's own `mn` on one of our topologies, inside the test's namespaces, with a /tmp that it may empty."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.inside import ROOT


def mn(file: Path, topo: str, script: str) -> subprocess.CompletedProcess[str]:
    """Bring a topology up as its users would and run Mininet's commands in it."""
    words = [sys.executable, "-W", "ignore", str(Path(sys.executable).parent / "mn"), "--custom", str(file)]
    words += ["--topo", topo, "--controller", "none", "--switch", "lxbr", "--pre", "/dev/stdin", "--test", "none"]
    with _own_tmp():
        return subprocess.run(words, input=script, capture_output=True, text=True, check=False, timeout=120)


@contextmanager
def _own_tmp() -> Iterator[None]:
    """Hide /tmp, for an `mn` that fails deletes /tmp/*.log; but not this project, which may well live there."""
    kept = Path("/run/kept")
    kept.mkdir(exist_ok=True)
    subprocess.run(["mount", "--bind", str(ROOT), str(kept)], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/tmp"], check=True)
    try:
        if ROOT.is_relative_to("/tmp"):
            ROOT.mkdir(parents=True)
            subprocess.run(["mount", "--bind", str(kept), str(ROOT)], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", "/tmp"], check=True)
        subprocess.run(["umount", "--lazy", str(kept)], check=True)
