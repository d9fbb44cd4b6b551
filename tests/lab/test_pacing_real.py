"""Pacing is what keeps an uplink's queue from running over: without it the same experiments fail, by that alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.lab.made_up import ROOT
from tests.lab.valid import run_until_valid

pytestmark = [pytest.mark.lab, pytest.mark.slow]

PATIENCE_S = 240


@pytest.mark.parametrize("name", ["keyframe-bursts", "catch-up"])
def test_queues_run_over_where_no_upload_is_stated(name: str, tmp_path: Path) -> None:
    lines = (ROOT / "experiments" / f"{name}.yaml").read_text().replace("../topologies", f"{ROOT}/topologies")
    file = tmp_path / "unpaced.yaml"
    file.write_text("".join(line for line in lines.splitlines(True) if "upload_mbit:" not in line))
    out = tmp_path / "out"
    words = [sys.executable, "-m", "overlaycast.cli", "lab", "run", str(file), "--out", str(out)]
    done = run_until_valid(words, out, tries=1, cwd=ROOT, timeout=PATIENCE_S)
    assert done.returncode == 1, done.stdout + done.stderr
    result = json.loads((out / "result.json").read_text())
    met = {one["metric"]: one["ok"] for one in result["expectations"]}
    assert not met["queue_overflow"]
    assert all(met[metric] for metric in ("lost", "duplicated", "sha256_ok"))  # TCP repeats what was dropped
