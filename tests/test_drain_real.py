"""A forwarder of a live stream is drained with ``overlaycast group drain``, then stopped; nobody loses a record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.drain_play import PEERS
from tests.lab.made_up import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.alone]


def test_a_drained_forwarder_is_stopped_and_nobody_loses_a_record(tmp_path: Path) -> None:
    words = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    done = subprocess.run(
        [*words, sys.executable, "-m", "tests.drain_play", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0
    result = json.loads(done.stdout)
    print(result)
    code, answer = result["drained"]
    assert (code, answer["draining"], answer["left"]) == (0, True, [])
    assert result["state"] == "DRAINING"
    assert len(result["peers"]) == PEERS
    assert {(peer["code"], peer["lost"]) for peer in result["peers"].values()} == {(0, 0)}
    assert result["children"], "the drained member fed somebody"
    for name in result["children"]:
        assert "order" in result["peers"][name]["switches"]
