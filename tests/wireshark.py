"""The dissector in a tshark that loads it, whoever runs the tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "wireshark" / "overlaycast.lua"


def dissected(capture: Path, *words: str, environment: Mapping[str, str]) -> str:
    """Return what tshark prints of a capture.

    To root, tshark 4.4 (Debian 13) loads no scripts. In a user namespace we are not root to it, yet may read our files.
    """
    command = ["tshark", "-r", str(capture), "-X", f"lua_script:{SCRIPT}", *words]
    if os.geteuid() == 0:
        command = ["unshare", "--user", *command]
    return subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment}).stdout
