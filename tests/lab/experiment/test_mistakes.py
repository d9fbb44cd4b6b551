"""All mistakes of a file are told at once, each with its line; expectations that nothing or all meets are mistakes."""

from __future__ import annotations

from operator import eq, ge, gt, le, lt, ne
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.errors import ConfigError, each
from overlaycast.lab.commands.lab import main
from overlaycast.lab.experiment.reading import runs
from overlaycast.lab.results import ranges
from overlaycast.lab.results.metrics import METRICS
from tests.lab.made_up import ROOT

HEAD = f"""\
name: x
topology: {{file: {ROOT}/topologies/figure_2a.py}}
stream: {{kind: synthetic, seconds: 6, rate_mbit: 2}}
members: {{peers: [202a, 202b], backups: []}}
"""
GOOD = "expect: [{metric: lost, op: '==', limit: 0}]\n"


def told(tmp_path: Path, text: str, own_timeline: bool = True) -> list[str]:
    """Return what is wrong with a file, without its name."""
    file = tmp_path / "x.yaml"
    file.write_text(text)
    try:
        runs(file, own_timeline=own_timeline)
    except ConfigError as error:
        return [str(one).removeprefix(f"{file}:") for one in each(error)]
    return []


def starts(lines: list[str]) -> list[str]:
    """Return line numbers and fields."""
    return [":".join(line.split(":")[:2]) for line in lines]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = HEAD + "bogus: 1\n" + "timeline:\n"
    text += "  - {at_s: 9, action: kill, target: nobody, colour: red}\n"
    text += "  - {at_s: 2, action: flip, target: x}\n"
    text += "  - {at_s: 3, action: link-down, target: 'uplink:mars'}\n"
    text += "expect:\n"
    text += "  - {metric: losst, op: '==', limit: 0}\n"
    text += "  - {metric: lost, op: '==', limit: 0, unit: ms}\n"
    text += "  - {metric: lost, op: '<', limit: 0}\n"
    assert set(starts(told(tmp_path, text))) == {
        "5: bogus",
        "7: timeline[0].at_s",
        "7: timeline[0].target",
        "7: timeline[0].colour",
        "8: timeline[1].action",
        "9: timeline[2].target",
        "11: expect[0].metric",
        "12: expect[1].unit",
        "13: expect[2].limit",
    }


def test_what_is_required_and_missing_is_told_with_the_rest(tmp_path: Path) -> None:
    lines = told(tmp_path, "name: x\nfoo: 1\nbar: 2\nstream: {kind: synthetic, seconds: many}\n")
    assert set(starts(lines)) == {"1: topology", "1: expect", "2: foo", "3: bar", "4: stream.seconds"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("members: {peers: all}", "members.peers: a list is accepted (got 'all')"),
        ("members: {upload_mbit: 20}", "members.upload_mbit: a mapping is accepted (got 20)"),
        ("seed: [1]", "seed: a whole number is accepted (got [1])"),
        ("seed: 1.5", "seed: a whole number is accepted (got 1.5)"),
        ("group: {rate_mbit: fast}", "group.rate_mbit: a number is accepted (got 'fast')"),
        ("title: 7", "title: a text is accepted (got 7)"),
        ("timeline: kill", "timeline: a list is accepted (got 'kill')"),
    ],
)
def test_a_value_of_another_kind_is_told_what_is_accepted(tmp_path: Path, text: str, said: str) -> None:
    head = HEAD.replace("members: {peers: [202a, 202b], backups: []}\n", "")
    assert told(tmp_path, f"{head}{text}\n{GOOD}") == [f"4: {said}"]


def test_a_document_that_is_a_list_is_one_mistake(tmp_path: Path) -> None:
    assert len(told(tmp_path, "- 1\n- 2\n")) == 1


def test_faults_of_a_timeline_with_mistakes_are_not_missed(tmp_path: Path) -> None:
    text = HEAD + "timeline: [{at_s: 2, id: dies, action: kil, target: 202a}]\n"
    text += "expect: [{metric: recovered_ms, op: '<=', limit: 9, fault: dies}]\n"
    assert starts(told(tmp_path, text)) == ["5: timeline[0].action"]


@pytest.mark.parametrize(
    "expectation",
    [
        "{metric: lost, op: '<', limit: 0}",
        "{metric: lost, op: '==', limit: 0.5}",
        "{metric: lost, op: '==', limit: -1}",
        "{metric: longest_gap_ms, op: '<=', limit: -1}",
        "{metric: receivers_finished, op: '>', limit: 1}",
        "{metric: receivers_finished, op: '==', limit: 1.1}",
        "{metric: sha256_ok, op: '==', limit: 2}",
        "{metric: sha256_ok, op: '>', limit: true}",
        "{metric: damaged, op: '>=', limit: 3}",
        "{metric: links_by_call, op: '>', limit: 2}",
        "{metric: media_readable, op: '==', limit: true}",
        "{metric: recovered_ms, op: '<=', limit: 100}",
        "{metric: moved, op: '<=', limit: 1}",
        "{metric: depth, op: '<', limit: 1}",
        "{metric: depth, op: '==', limit: 0}",
        "{metric: depth, op: '>', limit: 2}",
        "{metric: inbound_copies_by_tree, op: '<', limit: 1}",
        "{metric: inbound_copies_by_tree, op: '>=', limit: 3}",
        "{metric: primaries, op: '>', limit: 2}",
        "{metric: fed_as_planned, op: '==', limit: 2}",
        "{metric: stretch_mean, op: '<', limit: 1}",
        "{metric: multicast_blocked, op: '==', limit: 0.5}",
        "{metric: startup_ms, op: '<', limit: 0}",
        "{metric: back_ms, op: '<=', limit: 100}",
        "{metric: reason_given, op: '==', limit: true}",
    ],
)
def test_what_nothing_can_meet_is_a_mistake(tmp_path: Path, expectation: str) -> None:
    [line] = told(tmp_path, HEAD + f"expect:\n  - {expectation}\n")
    assert line.startswith("6: expect[0].")
    assert "never" in line


@pytest.mark.parametrize(
    "expectation",
    [
        "{metric: lost, op: '>=', limit: 0}",
        "{metric: lost, op: '!=', limit: 0.5}",
        "{metric: lost, op: '>', limit: -1}",
        "{metric: depth, op: '>=', limit: 1}",
        "{metric: depth, op: '<=', limit: 2}",
        "{metric: damaged, op: '<=', limit: 2}",
        "{metric: receivers_finished, op: '<=', limit: 1}",
        "{metric: sha256_ok, op: '>=', limit: false}",
        "{metric: sha256_ok, op: '!=', limit: 2}",
        "{metric: troubles, op: '>=', limit: 0}",
        "{metric: stretch_p95, op: '>=', limit: 1}",
    ],
)
def test_what_everything_meets_is_a_mistake(tmp_path: Path, expectation: str) -> None:
    [line] = told(tmp_path, HEAD + f"expect:\n  - {expectation}\n")
    assert line.startswith("6: expect[0].limit")
    assert "says nothing, for every value meets it" in line


@given(
    least=st.integers(0, 3),
    more=st.integers(0, 3),
    whole=st.booleans(),
    limit=st.sampled_from([-1, 0, 0.5, 1, 1.5, 2, 3, 4.5, 6, 7]),
    op=st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
)
def test_a_range_meets_what_one_of_its_values_meets(least: int, more: int, whole: bool, limit: float, op: str) -> None:
    steps = 1 if whole else 4  # quarters: no limit lies between two of them
    values = [least + step / steps for step in range(more * steps + 1)]
    compare = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}[op]
    assert ranges.Range(least, least + more, whole).meets(op, limit) is any(compare(one, limit) for one in values)


def test_a_backup_server_feeds_as_many_as_there_are(tmp_path: Path) -> None:
    with_one = HEAD.replace("202b], backups: []", "202b, 202d], backups: [backup]")
    text = "timeline: [{at_s: 1, action: kill, target: 202a}]\n"
    for limit, lines in ((3, 0), (4, 0), (5, 1)):
        wanted = f"expect: [{{metric: fed_by_backup, op: '>=', limit: {limit}}}]\n"
        assert len(told(tmp_path, with_one + text + wanted)) == lines
    assert len(told(tmp_path, HEAD + text + "expect: [{metric: fed_by_backup, op: '>', limit: 0}]\n")) == 1


def test_every_metric_has_its_range() -> None:
    for metric in METRICS:
        values = ranges.values_of(metric)
        assert ranges.pointless(metric, "<", values.least)
        assert ranges.pointless(metric, ">=", values.least)
        assert not ranges.pointless(metric, "==", values.least)


def test_what_something_can_meet_is_none(tmp_path: Path) -> None:
    text = HEAD + "timeline: [{at_s: 1, action: freeze, target: 202a, heal_after_s: 1}]\nexpect:\n"
    for expectation in (
        "{metric: lost, op: '<', limit: 1}",
        "{metric: lost, op: '!=', limit: 0}",
        "{metric: receivers_finished, op: '>=', limit: 1}",
        "{metric: sha256_ok, op: '!=', limit: true}",
        "{metric: damaged, op: '>=', limit: 2}",
        "{metric: back_ms, op: '<=', limit: 100}",
        "{metric: recovered_ms, op: '<=', limit: 100}",
    ):
        text += f"  - {expectation}\n"
    assert told(tmp_path, text) == []


def test_a_metric_may_have_its_earlier_name(tmp_path: Path) -> None:
    text = HEAD + "timeline: [{at_s: 1, action: kill, target: 202a}]\nexpect:\n"
    assert told(tmp_path, text + "  - {metric: told_why, op: '==', limit: true}\n") == []


def test_a_drawn_timeline_may_have_what_the_file_has_not(tmp_path: Path) -> None:
    text = HEAD + "expect: [{metric: recovered_ms, op: '<=', limit: 100}]\n"
    assert len(told(tmp_path, text)) == 1
    assert told(tmp_path, text, own_timeline=False) == []


def test_what_is_said_of_metrics_is_said_of_metrics() -> None:
    named = ranges.TRUTHS | ranges.SHARES | ranges.COUNTS | ranges.OF_RECEIVERS | ranges.OF_MEMBERS
    assert METRICS.keys() >= named


def test_check_prints_a_line_for_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(HEAD + "a: 1\nb: 2\n" + GOOD)
    assert main(["check", str(file)]) == 2
    assert [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()] == [f"{file}:5", f"{file}:6"]


def test_the_experiments_of_the_project_can_all_be_met() -> None:
    for file in (ROOT / "experiments").glob("*.yaml"):
        runs(file, own_timeline=True)
