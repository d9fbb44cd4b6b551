"""Pacing is what keeps an uplink's queue from running over: without it the same experiments fail, by that alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.made_up import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.slow]

PATIENCE_S = 240


@pytest.mark.parametrize("name", ["keyframe-bursts", "catch-up"])
def test_queues_run_over_where_no_upload_is_stated(name: str, tmp_path: Path) -> None:
    lines = (ROOT / "experiments" / f"{name}.yaml").read_text().replace("../topologies", f"{ROOT}/topologies")
    file = tmp_path / "unpaced.yaml"
    file.write_text("".join(line for line in lines.splitlines(True) if "upload_mbit:" not in line))
    words = [sys.executable, "-m", "overlaycast.cli", "lab", "run", str(file), "--out", str(tmp_path / "out")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    met = {one["metric"]: one["ok"] for one in result["expectations"]}
    assert not met["queue_overflow"]
    assert all(met[metric] for metric in ("lost", "duplicated", "sha256_ok"))  # TCP repeats what was dropped
