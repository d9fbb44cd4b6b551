"""A run of tests that fails ends with its summary, whatever was left open; one that leaks without failing fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LEAK = """\
import asyncio


async def test_leaks() -> None:
    server = await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    assert {what}
"""


def run(folder: Path, what: str) -> subprocess.CompletedProcess[str]:
    """Run a test that leaves a socket open, under the settings of this repository."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "test_leak.py").write_text(LEAK.format(what=what))
    words = [sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider"]
    return subprocess.run([*words, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_a_failed_run_ends_with_its_summary(tmp_path: Path) -> None:
    done = run(tmp_path, "False")
    assert done.returncode == 1
    assert "1 failed" in done.stdout.splitlines()[-1]
    assert done.stderr == ""


def test_a_leak_still_fails_what_passes_otherwise(tmp_path: Path) -> None:
    done = run(tmp_path, "True")
    assert done.returncode == 1
    assert "ResourceWarning" in done.stdout + done.stderr
