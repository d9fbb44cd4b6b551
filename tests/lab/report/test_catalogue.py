"""The page of the suite says what was run, and what was not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from overlaycast.errors import ConfigError
from overlaycast.lab.analysis import judge, series
from overlaycast.lab.analysis.compare import StoredRun, compare
from overlaycast.lab.commands import lab
from overlaycast.lab.report import catalogue
from tests.lab import made_up


def page(result: bool = True) -> str:
    """Return the page for one experiment, with the made-up run's result or without any."""
    chosen, _, _ = made_up.experiment()
    done = judge.build(made_up.recording()) if result else None
    return catalogue.markdown([catalogue.Entry("experiments/figure-2a.yaml", chosen, done)], "the command")


def test_figures_are_the_runs() -> None:
    text = page()
    assert "1 of 1 passed" in text
    assert "| [figure-2a](#figure-2a) | kill, link-down | **passed** | 11 of 11 | 118\u00a0ms |" in text
    assert "| 10\u00a0s | 202a was killed | seen to be gone | 5 | 41\u00a0ms | 3 |" in text
    assert "| records lost by a surviving receiver |  | = 0\u00a0records | 0\u00a0records | ok |" in text


def test_comparisons_are_on_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = made_up.recording()
    comparison = compare([StoredRun(judge.build(recording), series.build(recording))])
    figures = replace(
        comparison.systems[0],
        valid=True,
        receivers=13,
        whole=12,
        in_time_share=0.5,
        site_copies=3.2,
        star_into_site=6,
        link_copies=7.1,
        star_on_link=13,
        latency_p50_ms=None,
    )
    systems = (replace(figures, system="unicast"), replace(figures, system="overlay", valid=False))
    found = replace(comparison, title="A title", topology="net", seed=4, systems=systems)
    (tmp_path / "compare-x").mkdir()
    (tmp_path / "compare-x" / "compare.json").write_text(json.dumps(found.as_json()))
    assert lab.main(["list", "--markdown", "--results", str(tmp_path), "--folder", str(made_up.ROOT)]) == 0
    text = capsys.readouterr().out
    assert "**A title** (`net`, seed 4)" in text
    assert "| unicast | 12 of 13 | 50% | 3.20 (needs 6) | 7.10 (needs 13) | – |" in text
    assert "| overlay (invalid: the machine did not keep up) | 12 of 13 | 50% | 3.20 | 7.10 | – |" in text


def test_what_was_not_run_says_so() -> None:
    text = page(result=False)
    assert "0 of 1 passed" in text
    assert "| not run | – | – | – |" in text
    assert "\nNot run.\n" in text


def test_an_expectation_that_was_not_met_shows() -> None:
    chosen, _, _ = made_up.experiment()
    story = made_up.Story(lost={"202m": 3})
    done = judge.build(made_up.recording(story))
    text = catalogue.markdown([catalogue.Entry("x.yaml", chosen, done)], "the command")
    assert "**failed** | 10 of 11" in text
    assert "| 3\u00a0records | **failed** |" in text


def test_results_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="results: required with --markdown"):
        lab.main(["list", "--markdown"])


def test_results_are_listed_at_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "figure-2a").mkdir()
    (tmp_path / "figure-2a" / "result.json").write_text(json.dumps(judge.build(made_up.recording()).as_json()))
    assert lab.main(["list", "--results", str(tmp_path), "--folder", str(made_up.ROOT)]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert " ".join(rows["figure-2a"]).startswith("passed 11 of 11 118 ms")
    assert rows["churn"] == ["not", "run", "–", "–", "–"]


def test_experiments_are_listed_by_their_whole_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab.main(["list", "--folder", str(made_up.ROOT)]) == 0
    words = capsys.readouterr().out.split()
    assert [file.name for file in (made_up.ROOT / "experiments").glob("*.yaml") if file.name not in words] == []


def test_every_experiment_is_on_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab.main(["list", "--markdown", "--results", str(tmp_path), "--folder", str(made_up.ROOT)]) == 0
    text = capsys.readouterr().out
    for file in (made_up.ROOT / "experiments").glob("*.yaml"):
        assert f"(../experiments/{file.name})" in text
