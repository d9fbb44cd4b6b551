"""What a run leaves on the disk reads back as it was written; a broken file is one line that names the field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from overlaycast.errors import ConfigError
from overlaycast.lab.analysis import judge, series
from overlaycast.lab.analysis.compare import Comparison, StoredRun, compare
from overlaycast.lab.analysis.series import Series
from overlaycast.lab.results import stored
from overlaycast.lab.results.result import Result
from tests.lab import made_up
from tests.lab.made_up import Story

RECORDING = made_up.recording(Story(lost={"202e": 3}, wrong_file={"202f"}))
RESULT = judge.build(RECORDING)


def test_a_result_reads_back_as_it_was_written() -> None:
    assert Result.from_json(json.dumps(RESULT.as_json())) == RESULT


def test_timelines_read_back_as_they_were_written() -> None:
    timelines = series.build(RECORDING)
    assert stored.from_json(Series, json.dumps(timelines.as_json()), "series.json") == timelines


def test_a_comparison_reads_back_as_it_was_written() -> None:
    comparison = compare([StoredRun(RESULT, series.build(RECORDING))])
    assert stored.from_json(Comparison, json.dumps(comparison.as_json()), "compare.json") == comparison


def test_an_older_result_may_lack_what_has_a_default() -> None:
    values = RESULT.as_json()
    del values["cpu_s"]
    assert Result.from_json(json.dumps(values)).cpu_s == {}


def test_an_older_result_has_an_earlier_name_of_a_metric() -> None:
    values = RESULT.as_json()
    values["expectations"][0]["metric"] = "told_why"
    assert Result.from_json(json.dumps(values)).expectations[0].metric == "reason_given"


def wrong_lost(values: dict[str, Any]) -> None:
    """Make one receiver's lost records a word."""
    values["delivery"][2]["lost"] = "many"


def no_verdict_for_a_metric(values: dict[str, Any]) -> None:
    """Take a field out of an expectation."""
    del values["expectations"][0]["ok"]


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (lambda values: values.pop("seed"), r"result\.json: seed: required$"),
        (wrong_lost, r"result\.json: delivery\[2\]\.lost: .*integer"),
        (no_verdict_for_a_metric, r"result\.json: expectations\[0\]\.ok: required$"),
    ],
)
def test_a_wrong_field_is_named_with_its_file(tmp_path: Path, broken: Any, complaint: str) -> None:
    values = json.loads(json.dumps(RESULT.as_json()))
    broken(values)
    file = tmp_path / "result.json"
    file.write_text(json.dumps(values))
    with pytest.raises(ConfigError, match=complaint) as error:
        Result.read(file)
    assert str(error.value).startswith(str(file))
    assert "\n" not in str(error.value)


def test_half_a_file_and_no_file_are_one_line(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    with pytest.raises(ConfigError, match="No such file"):
        Result.read(file)
    file.write_text(json.dumps(RESULT.as_json())[:1000])
    with pytest.raises(ConfigError, match="Invalid JSON"):
        Result.read(file)
