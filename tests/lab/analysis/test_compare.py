"""Systems side by side: figures as measured, the page whole, and runs of different things refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from overlaycast.errors import ConfigError
from overlaycast.lab.analysis import judge, series
from overlaycast.lab.analysis.compare import StoredRun, compare
from overlaycast.lab.commands import lab
from overlaycast.lab.commands.compare import CompareSettings
from overlaycast.lab.report import compare_page, compare_table, compare_words
from overlaycast.lab.results import metrics
from overlaycast.lab.results.metrics import OF_FAULTS
from overlaycast.lab.results.result import Latency
from overlaycast.settings import load
from tests.lab import made_up
from tests.lab.made_up import Story
from tests.lab.report.test_report import checked


def run(system: str, story: Story | None = None, **changes: Any) -> StoredRun:
    """Return a made-up run over a system."""
    recording = replace(made_up.recording(story), system=system, faults=(), **changes)
    return StoredRun(judge.build(recording), series.build(recording))


STAR = Story(copies_into={"north": 6, "east": 3, "south": 2, "west": 2})
RUNS = [run("overlay"), run("unicast", STAR)]


def test_copies_into_sites_are_compared() -> None:
    comparison = compare(RUNS)
    assert comparison.sites["north"] == pytest.approx({"overlay": 1.0, "unicast": 6.0}, abs=0.02)
    overlay, star = comparison.systems
    assert overlay.site_copies == pytest.approx(1, abs=0.02)
    assert star.site_copies == pytest.approx(6, abs=0.02)
    assert star.star_into_site == 6
    assert (overlay.whole, overlay.receivers) == (11, 13)  # two fell silent in mid-stream in this story
    assert overlay.in_time_worst == pytest.approx(1 / 3, abs=0.02)


def test_page_says_what_the_table_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    comparison = compare(RUNS)
    page = compare_page.render(comparison, RUNS, "overlaycast lab compare x.yaml")
    assert checked(page).loads == []
    text = " ".join("".join(checked(page).text).split())
    compare_table.show(comparison, tmp_path / "compare.html", Console(width=140, color_system=None))
    printed = " ".join(capsys.readouterr().out.split())
    for words in ("1.00 over the overlay and 6.00 by unicast from the source", "most copies into a site"):
        assert words in text
        assert words in printed


def test_a_late_network_is_told_first() -> None:
    late = StoredRun(replace(RUNS[1].result, verdict="invalid"), RUNS[1].series)
    page = compare_page.render(compare([RUNS[0], late]), [RUNS[0], late], "x")
    assert "in the run by unicast from the source: it proves nothing" in page
    assert "proves nothing" not in compare_page.render(compare(RUNS), RUNS, "x")


@pytest.mark.parametrize("field", ["experiment", "topology", "seed", "payload_bytes"])
def test_runs_of_different_things_are_not_compared(field: str) -> None:
    changed: dict[str, Any] = {field: "other"}
    other = replace(RUNS[1], result=replace(RUNS[1].result, **changed))
    with pytest.raises(ConfigError, match=f"{field} differs"):  # bad input, not a run that failed
        compare([RUNS[0], other])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--systems", "overlay,carrier-pigeon"], "carrier-pigeon.*accepted: each of overlay, unicast, multicast"),
        (["--systems", "overlay,overlay"], "at most once"),
        (["--systems", ","], "none named"),
        (["--out", "/run/x"], "a run has a /run of its own"),
    ],
)
def test_bad_options_are_told(words: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        lab.main(["compare", "experiments/figure-2a.yaml", *words])


def test_all_three_are_compared_unless_told() -> None:
    assert load(CompareSettings, ["x.yaml"], "x").systems == "overlay,unicast,multicast"


def test_the_overlay_runs_first_and_its_hosts_are_struck_in_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        f"name: x\ntopology: {{file: {made_up.ROOT}/topologies/figure_2a.py}}\n"
        "stream: {kind: synthetic, seconds: 6, rate_mbit: 2}\n"
        "timeline: [{at_s: 2, id: dies, action: kill, target: all-primaries}]\n"
        "expect: [{metric: lost, op: '==', limit: 0}]\n"
    )
    seen: list[tuple[str, str]] = []

    def isolated(asked: Any) -> int:
        [(name, fault)] = asked.plan.experiment.faults
        seen.append((asked.plan.system, fault.aim))
        hit = replace(judge.build(made_up.recording()).faults[0], id=name, target="202a, 202g")
        asked.plan.out.mkdir(parents=True, exist_ok=True)
        (asked.plan.out / "result.json").write_text(json.dumps(replace(RUNS[0].result, faults=(hit,)).as_json()))
        return 0 if len(seen) < 2 else 3

    monkeypatch.setattr("overlaycast.lab.commands.inside.isolated", isolated)
    words = ["compare", str(file), "--systems", "unicast,overlay", "--faults", "--out", str(tmp_path / "out")]
    assert lab.main(words) == 3
    assert seen == [("overlay", "all-primaries"), ("unicast", "202a, 202g")]


def test_metrics_of_faults_are_those_that_say_nothing_without() -> None:
    result = judge.build(made_up.recording())
    for name, metric in metrics.METRICS.items():
        if metric.read(result, result.faults) is not None and metric.read(result, ()) is None:
            assert name in OF_FAULTS


def empty(one: StoredRun, hosts: int) -> StoredRun:
    """Return a run in which nothing came to some receivers."""
    delivery = [
        replace(part, received=0, latency_ms=Latency(None, None, None)) if number < hosts else part
        for number, part in enumerate(one.result.survivors())
    ]
    return StoredRun(replace(one.result, delivery=tuple(delivery)), one.series)


def test_a_system_that_gave_nothing_is_told_first() -> None:
    runs = [run("overlay"), empty(run("multicast"), 13)]
    found = compare(runs)
    assert compare_words.missing(found)[0].startswith("Nothing came over IP multicast to any receiver")
    cells = [compare_words.cell(read, found.systems[1]) for _, read in compare_words.ROWS]
    assert set(cells) == {"nothing came"}
    assert "IP multicast" not in compare_words.lead(found)
    page = compare_page.render(found, runs, "overlaycast lab compare x")
    assert page.index("Nothing came over IP multicast") < page.index("In figures")


def test_receivers_that_got_nothing_are_counted() -> None:
    found = compare([run("overlay"), empty(run("multicast"), 2)])
    assert compare_words.missing(found) == (
        "Nothing came over IP multicast to 2 of 13 receivers; delays and silences are those of the others.",
    )


def test_a_site_whose_receivers_got_nothing_has_no_copies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A copy crossed its uplink, and a translator kept it from the receivers: that is no copy into the site."""
    multicast = run("multicast", Story(copies_into={"north": 2}))
    north = [one.host for one in multicast.result.survivors() if one.site == "north"]
    delivery = [replace(one, received=0) if one.host in north else one for one in multicast.result.delivery]
    runs = [run("overlay"), StoredRun(replace(multicast.result, delivery=tuple(delivery)), multicast.series)]
    found = compare(runs)
    assert found.empty_sites == {"overlay": (), "multicast": ("north",)}
    assert found.systems[1].site_copies == pytest.approx(1, abs=0.02)
    compare_table.show(found, tmp_path / "compare.html", Console(width=140, color_system=None))
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].startswith(f"Nothing came over IP multicast to {len(north)} of 13 receivers")
    [row] = [line for line in printed if line.startswith("north")]
    assert row.split() == ["north", "1.00", "nothing", "came"]
    assert 'aria-label="overlay 1.00, multicast nothing came"' in compare_page.render(found, runs, "x")


def test_a_machine_that_was_too_slow_is_told_before_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    late = StoredRun(replace(RUNS[1].result, verdict="invalid"), RUNS[1].series)
    compare_table.show(compare([RUNS[0], late]), tmp_path / "compare.html", Console(width=140, color_system=None))
    assert capsys.readouterr().out.splitlines()[1].startswith("This machine was too slow")


def test_where_nothing_came_over_any_system_no_figure_is_given() -> None:
    found = compare([empty(run("overlay"), 13)])
    assert compare_words.lead(found) == "Nothing came over any system."
    assert compare_words.second(found) == ""


def test_what_a_system_cannot_have_is_told_at_the_top() -> None:
    multicast = run("multicast")
    note = "fault x was left out: IP multicast has nothing like it"
    noted = StoredRun(replace(multicast.result, notes=(note,)), multicast.series)
    assert compare_words.missing(compare([noted])) == (f"Multicast: {note}.",)
