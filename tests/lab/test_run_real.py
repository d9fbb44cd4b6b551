"""Experiments for real: the main one passes and its report opens; whatever ends a run, nothing is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.lab.browser import browser
from tests.lab.made_up import ROOT
from tests.lab.network.test_isolation import marked, seen_out, world
from tests.lab.valid import run_until_valid

pytestmark = pytest.mark.lab

PATIENCE_S = 240.0
LAB = [sys.executable, "-m", "overlaycast.cli", "lab"]
FIELDS = {
    "members": {"id", "host", "site", "rank", "parent", "primary"},
    "delivery": {"member", "expected", "received", "lost", "duplicated", "reordered", "sha256_ok", "latency_ms"}
    | {"longest_gap_ms"},
    "links": {"a", "b", "site_uplink", "bytes_ab", "bytes_ba", "copies_ab", "copies_ba"},
    "faults": {"at_s", "action", "target", "detected_ms", "recovered_ms", "moved", "lost", "duplicated"},
    "expectations": {"metric", "op", "limit", "value", "ok"},
    "fidelity": {"link", "asked", "measured"},
}
SMALL = f"""\
name: small
topology: {{file: {ROOT}/topologies/figure_2a.py}}
members: {{peers: [202a, 202b, 202j]}}
stream: {{kind: synthetic, seconds: SECONDS, rate_mbit: 1}}
group: {{rate_mbit: 1.1}}
TIMELINE
expect:
  - {{metric: lost, op: "==", limit: 0}}
"""


@pytest.fixture(scope="module")
def figure_2a(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """The main experiment, run once."""
    out = tmp_path_factory.mktemp("figure-2a")
    words = [*LAB, "run", "experiments/figure-2a.yaml", "--out", str(out), "--json"]
    return run_until_valid(words, out, cwd=ROOT, timeout=PATIENCE_S), out


def test_figure_2a_passes(figure_2a: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    done, out = figure_2a
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result == json.loads((out / "result.json").read_text())
    assert result["verdict"] == "passed"
    assert len([one for one in result["delivery"] if one["survived"]]) == 11
    assert f"report: {out}/report.html" in done.stderr


def test_result_has_what_the_design_names(figure_2a: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    result = json.loads((figure_2a[1] / "result.json").read_text())
    for name, fields in FIELDS.items():
        assert result[name], name
        for row in result[name]:
            assert fields <= set(row), name
    plain = {"experiment", "topology", "system", "seed", "versions", "started", "duration_s", "shaping", "verdict"}
    assert plain <= set(result)
    assert set(result["tree"]) >= {"depth", "primaries", "stretch"}
    assert set(result["control"]) == {"bytes", "messages"}


def test_received_files_are_not_kept_unless_asked(
    figure_2a: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    assert not (figure_2a[1] / "received").exists()


def test_events_tell_the_story(figure_2a: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    events = [json.loads(line) for line in (figure_2a[1] / "events.jsonl").read_text().splitlines()]
    kinds = [event["kind"] for event in events]
    assert kinds.count("fault") == 2
    assert {"begin", "fed", "switch", "end", "summary"} <= set(kinds)


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium to open the report")
def test_report_opens_in_a_browser(figure_2a: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    report = figure_2a[1] / "report.html"
    with browser() as page:
        page.open(report)
        assert page.complaints == []
        assert page.requests == [report.resolve().as_uri()]
        assert page.evaluate("document.querySelectorAll('#screen .flow').length") >= 14
        # the tree may have been improved before, which makes a picture too
        tabs = "[...document.querySelectorAll('#pictures [role=tab]')]"
        page.evaluate(f"{tabs}.find((tab) => tab.textContent.includes('after primary-dies')).click()")
        assert page.evaluate("Number(document.getElementById('when').value)") >= 10
        assert page.evaluate("document.querySelectorAll('#screen .flow.moved').length") >= 1
        page.emulate(380)
        assert page.evaluate("document.documentElement.scrollWidth <= 380") is True


@contextmanager
def streaming(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A run in mid-stream, with the token in the environment of all that belongs to it."""
    file = tmp_path / "small.yaml"
    file.write_text(SMALL.replace("TIMELINE", "").replace("SECONDS", "30"))
    token = f"TOKEN{uuid4().hex}"
    words = [*LAB, "run", str(file), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "TEST_TOKEN": token}
    with subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        guard = threading.Timer(PATIENCE_S, process.kill)
        guard.start()
        try:
            yield process, token
        finally:
            guard.cancel()
            process.kill()


def until(process: subprocess.Popen[str], text: str) -> list[str]:
    """Read standard error until a line has ``text``; return the lines."""
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError("".join(lines))


def test_nothing_is_left_after_kill_in_mid_run(tmp_path: Path) -> None:
    before = world()
    with streaming(tmp_path) as (process, token):
        until(process, "streaming to 3 receivers")
        with seen_out(token):
            process.kill()
            process.wait()
    assert marked(token) == []
    assert world() == before


def test_interrupt_in_mid_run_ends_it_cleanly(tmp_path: Path) -> None:
    before = world()
    with streaming(tmp_path) as (process, token):
        until(process, "streaming to 3 receivers")
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    assert marked(token) == []
    assert world() == before
    assert not (tmp_path / "out" / "result.json").exists()


FREEZE = "timeline: [{at_s: 2, action: freeze, target: 202a, heal_after_s: 3}, {at_s: 6, action: leave, target: 202b}]"


def test_frozen_one_thaws_and_leaver_leaves(tmp_path: Path) -> None:
    file, out = tmp_path / "small.yaml", tmp_path / "out"
    file.write_text(SMALL.replace("TIMELINE", FREEZE).replace("SECONDS", "9"))
    words = [*LAB, "run", str(file), "--out", str(out)]
    done = run_until_valid(words, out, tries=1, cwd=tmp_path, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads((tmp_path / "out" / "result.json").read_text())
    freeze, leave = result["faults"]
    assert "is stopped" in freeze["evidence"]
    assert freeze["healed_s"] - freeze["at_s"] >= 2.9
    assert "left" in leave["evidence"]
    survived = {one["host"]: one["survived"] for one in result["delivery"]}
    assert survived == {"202a": True, "202b": False, "202j": True}


def test_the_prompt_is_mininets_and_its_end_leaves_nothing(tmp_path: Path) -> None:
    before = world()
    file = tmp_path / "small.yaml"
    file.write_text(SMALL.replace("TIMELINE", "").replace("SECONDS", "30"))
    script = """\
202a ping -c 1 -W 5 source
link core1 B down
202b ping -c 1 -W 1 source
link core1 B up
py 'the network is a', type(net).__name__
"""
    words = [*LAB, "run", str(file), "--cli"]
    done = subprocess.run(
        words, cwd=tmp_path, input=script, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stderr
    assert "it is the network that was asked for" in done.stderr
    shown = done.stdout + done.stderr
    assert "1 packets transmitted, 1 received" in shown
    assert "100% packet loss" in shown or "Network is unreachable" in shown or "Host Unreachable" in shown
    assert "BuiltMininet" in shown
    assert world() == before
    assert not (tmp_path / "runs").exists()
