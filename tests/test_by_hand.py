"""What the README says is what happens: its block of commands is run as it stands, but for names and ports."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.ports import free_port

ROOT = Path(__file__).parent.parent


def block() -> str:
    """Return the README's commands for a first try by hand."""
    found = re.search(r"<!-- tests/test_by_hand\.py.*?```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found, "the README has lost its block of commands"
    return found.group(1)


def test_a_forwarder_is_killed_and_no_receiver_misses_a_byte(tmp_path: Path) -> None:
    commands = block().replace("8470", str(free_port())).replace("$PWD/.venv/bin", str(Path(sys.executable).parent))
    script = tmp_path.parent / f"{tmp_path.name}.sh"
    script.write_text(commands)
    shell = subprocess.Popen(
        ["bash", str(script)],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = shell.communicate(timeout=300)
    finally:
        # the block's own processes, whatever became of it: they are the only ones in this session's process group
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
    assert shell.returncode == 0, err
    whole = set(re.findall(r"^(peer-\d) has it all$", out, re.MULTILINE))
    killed = set(re.findall(r"^(peer-\d) was killed$", out, re.MULTILINE))
    assert len(killed) == 1
    assert whole | killed == {"peer-1", "peer-2", "peer-3", "peer-4"}
    [folder] = tmp_path.iterdir()
    film = hashlib.sha256((folder / "film").read_bytes()).digest()
    for name in whole:
        assert hashlib.sha256((folder / name.replace("peer", "got")).read_bytes()).digest() == film
    assert "source" in out, "the tree was drawn"
