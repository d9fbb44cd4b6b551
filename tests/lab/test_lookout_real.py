"""A site whose uplink carries less than the stream, in namespaces: its primary says link, who is below it parent."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.lab.made_up import ROOT
from tests.lab.valid import run_until_valid

pytestmark = pytest.mark.lab

SLOW = f"""\
name: slow-uplink
topology: {{file: {ROOT}/topologies/figure_2a.py}}
members: {{peers: [202a, 202b]}}
stream: {{kind: synthetic, seconds: 26, rate_mbit: 3}}
group: {{rate_mbit: 3.3, strategy: location, silence_ms: 500}}
timeline:
  - {{at_s: 3, action: link-rate, target: "uplink:north", rate_mbit: 1.5, heal_after_s: 10}}
expect:
  - {{metric: lost, op: "==", limit: 0}}
"""


def test_a_site_with_a_thin_uplink_says_what_is_behind_and_when_it_is_over(tmp_path: Path) -> None:
    file, out = tmp_path / "slow.yaml", tmp_path / "out"
    file.write_text(SLOW)
    words = [sys.executable, "-m", "overlaycast.cli", "lab", "run", str(file), "--out", str(out)]
    done = run_until_valid(words, out, cwd=tmp_path, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    told = {
        kind: {event["host"]: event for event in events if event["kind"] == kind} for kind in ("behind", "caught-up")
    }
    assert sorted(event["what"] for event in told["behind"].values()) == ["link", "parent"]
    assert set(told["behind"]) == set(told["caught-up"]) == {"202a", "202b"}
    for host, begin in told["behind"].items():
        over = told["caught-up"][host]
        assert 3 + 3 <= begin["at_s"] < 13
        assert (over["what"], over["lost"]) == (begin["what"], 0)
        log = (out / "logs" / f"{host}.log").read_text()
        assert log.count(" behind: ") == log.count(" keeps up again: ") == 1
    others = [(out / "logs" / f"{host}.log").read_text() for host in ("source", "backup")]
    assert not any("behind" in log for log in others)
