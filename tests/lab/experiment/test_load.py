"""What a run will ask of the wire, known beforehand; and a real run beyond it, which proves nothing and says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from overlaycast.lab.commands import lab
from overlaycast.lab.experiment import load
from overlaycast.lab.experiment.experiment import Cast, FileStream
from overlaycast.lab.topology.loading import load_topology
from tests.lab import made_up

LAB = [sys.executable, "-m", "overlaycast.cli", "lab"]
ROW = """\
from overlaycast.lab.routedtopo import RoutedTopo


class Row(RoutedTopo):
    def build(self):
        names = [f"r{n}" for n in range(8)]
        for name in names:
            self.router(name)
        for a, b in zip(names, names[1:]):
            self.link(a, b, delay_ms=1)
        self.host("source", role="server")
        self.link("r0", "source", rate_mbit=RATE)
        self.host("control", role="coordinator")
        self.link("r0", "control")
        for n in range(2):
            self.host(f"c{n}")
            self.link("r7", f"c{n}")


topos = {"row": Row}
"""
HEAVY = """\
name: heavy
topology: {file: row.py}
group: {mode: file}
stream: {kind: file, size_mib: SIZE}
expect:
  - {metric: damaged, op: "==", limit: 0}
"""


def row(folder: Path, size_mib: int, rate: float | None) -> Path:
    """Seven links in a row with a delay and no limit, and a file that goes as fast as it can."""
    (folder / "row.py").write_text(ROW.replace("RATE", str(rate)))
    (folder / "heavy.yaml").write_text(HEAVY.replace("SIZE", str(size_mib)))
    return folder / "heavy.yaml"


def test_each_link_counts_with_what_the_stream_puts_on_it(tmp_path: Path) -> None:
    row(tmp_path, 1, None)
    topology = load_topology(tmp_path / "row.py")
    chosen, _, _ = made_up.experiment()
    cast = Cast("source", "control", ("c0", "c1"), ())
    carried = load.wired(topology, ())
    assert carried == {f"r{n}-r{n + 1}" for n in range(7)}
    assert load.wired(topology, [("c0", "r7")]) == carried | {"r7-c0"}
    assert load.asked_mbit(topology, chosen, cast, "overlay", carried) == 7 * 8.0
    assert load.asked_mbit(topology, chosen, cast, "multicast", carried) == 7 * 8.0
    assert load.asked_mbit(topology, chosen, cast, "unicast", carried) == 7 * 2 * 8.0
    file = chosen.model_copy(update={"stream": FileStream(kind="file")})
    assert load.asked_mbit(topology, file, cast, "overlay", carried) == 7 * load.UNLIMITED_MBIT
    row(tmp_path, 1, 50)
    topology = load_topology(tmp_path / "row.py")
    assert load.asked_mbit(topology, file, cast, "overlay", carried) == 7 * 50
    assert load.asked_mbit(topology, file, cast, "unicast", carried) == 7 * 100


def test_only_what_is_too_much_is_warned_of() -> None:
    assert load.warning(load.CEILING_MBIT) == ""
    line = load.warning(load.CEILING_MBIT + 1)
    assert "would carry 701 Mbit/s in sum" in line
    assert "\n" not in line


def test_check_warns_in_one_line_and_accepts_the_file(tmp_path: Path) -> None:
    words = [*LAB, "check", str(row(tmp_path, 1, None)), "experiments/figure-2a.yaml"]
    done = subprocess.run(words, cwd=made_up.ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0
    [line] = done.stderr.splitlines()
    assert line.startswith(
        f"overlaycast: {tmp_path}/heavy.yaml: warning: the links with delay or loss would carry 7000"
    )


@pytest.mark.lab
def test_a_run_above_the_ceiling_of_the_wire_is_invalid_wherever_it_is_shown(tmp_path: Path) -> None:
    words = [*LAB, "run", str(row(tmp_path, 80, None)), "--out", str(tmp_path / "out"), "--junit", str(tmp_path / "x")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=240)
    assert "the links with delay or loss would carry 7000 Mbit/s in sum" in done.stderr
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    if set(result["shaping"]["means"].values()) & {"netem"}:
        pytest.skip("netem has no such ceiling")
    assert any("would carry 7000 Mbit/s" in note for note in result["notes"])
    if result["shaping"]["valid"]:
        pytest.skip("the senders could not outrun the wire here: on one processor it comes before them")
    assert (done.returncode, result["verdict"]) == (1, "invalid")
    assert result["shaping"]["valid"] is False
    why = result["shaping"]["why"]
    assert why in (tmp_path / "out" / "report.html").read_text()
    assert f"invalid The emulated network did not keep up, so this run shows nothing about the system: {why}." in (
        " ".join(done.stdout.split())
    )
    assert 'type="invalid"' in (tmp_path / "x").read_text()


def test_links_faster_than_the_wire_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fast.py").write_text(FAST)
    topology = load_topology(tmp_path / "fast.py")
    line = load.too_fast(topology, load.wired(topology, ()))
    assert "s-r (5000 Mbit/s)" in line
    assert "h-r" not in line
    assert load.too_fast(topology, ()) == ""
    (tmp_path / "x.yaml").write_text(
        "name: x\ntopology: {file: fast.py}\nstream: {kind: synthetic, seconds: 6, rate_mbit: 2}\n"
        "members: {source: s, coordinator: c, peers: [h]}\nexpect: [{metric: lost, op: '==', limit: 0}]\n"
    )
    assert lab.main(["check", str(tmp_path / "x.yaml")]) == 0
    assert "warning: links with delay or loss that are faster" in capsys.readouterr().err


FAST = """
from overlaycast.lab.topology.routedtopo import RoutedTopo

class Fast(RoutedTopo):
    def build(self):
        self.router("r")
        for host in "shc":
            self.host(host)
        self.link("s", "r", rate_mbit=5000, delay_ms=5)
        self.link("h", "r", rate_mbit=5000)
        self.link("c", "r")

topos = {"fast": Fast}
"""
