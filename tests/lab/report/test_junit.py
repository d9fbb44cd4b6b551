"""Results as CI reads them: counts, failures with their reason, and runs that came to nothing."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from overlaycast.lab.analysis import judge
from overlaycast.lab.report.junit import document
from overlaycast.lab.results.outcome import Outcome
from tests.lab import made_up
from tests.lab.made_up import Story

GOOD = judge.build(made_up.recording())
BAD = judge.build(made_up.recording(Story(lost={"202e": 3})))


def read(*outcomes: Outcome) -> ElementTree.Element:
    """Return the document's root."""
    return ElementTree.fromstring(document(outcomes))


def test_every_expectation_is_a_case() -> None:
    root = read(Outcome("figure-2a", "f.yaml", GOOD))
    names = [case.get("name") for case in root.iter("testcase")]
    assert names[0] == "run"
    assert "lost == 0.0" in names
    assert "inbound_copies_after <= 1.1 after primary-dies" in names
    assert len(names) == 1 + len(GOOD.expectations)
    assert (root.get("failures"), root.get("errors"), root.get("tests")) == ("0", "0", str(len(names)))


def test_a_failure_says_what_was_asked_and_measured() -> None:
    root = read(Outcome("figure-2a", "f.yaml", BAD))
    (failure,) = (one for one in root.iter("failure") if one.get("type") == "lost")
    message = str(failure.get("message")).replace("\u00a0", " ")
    assert message == "records lost by a surviving receiver: asked = 0 records, measured 3 records"
    assert int(root.get("failures", 0)) == len([one for one in BAD.expectations if not one.ok])


def test_a_run_without_result_is_an_error() -> None:
    root = read(Outcome("x", "x.yaml", None, "exit code 3", 4.5), Outcome("figure-2a", "f.yaml", GOOD))
    (error,) = root.iter("error")
    assert error.get("message") == "exit code 3"
    assert root.get("errors") == "1"
    assert [suite.get("name") for suite in root] == ["x", "figure-2a"]


def test_a_late_network_is_an_error_not_a_failure() -> None:
    root = read(Outcome("x", "x.yaml", replace(GOOD, verdict="invalid")))
    assert [error.get("type") for error in root.iter("error")] == ["invalid"]


@given(st.text(max_size=40), st.text(max_size=80))
def test_whatever_a_program_said_is_xml(name: str, words: str) -> None:
    root = read(Outcome(name, "x.yaml", replace(GOOD, troubles=(words,))), Outcome("n", "x", None, words))
    assert len(list(root.iter("system-err"))) == 1
