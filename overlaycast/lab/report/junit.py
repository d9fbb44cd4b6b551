"""Results for CI, as JUnit XML: a suite per run, a case per expectation. Pure.

Owns: the mapping. An expectation that was not met is a failure; a run that could not be judged (it did not happen, or
its network was not what was asked for) is an error. Each suite has a case ``run`` beside the expectations, so that a
run without result shows too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import BytesIO
from typing import Final

from junitparser import Attr, Error, Failure, JUnitXml, TestCase, TestSuite

from overlaycast.lab.report import words
from overlaycast.lab.results.metrics import METRICS
from overlaycast.lab.results.outcome import Outcome
from overlaycast.lab.results.result import Judged

_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold (section 2.2), and a program's last words may."""


class _Case(TestCase):
    """A case that also names the experiment's file."""

    file = Attr()


def document(outcomes: Sequence[Outcome]) -> str:
    """Return the XML."""
    root = JUnitXml("overlaycast lab")
    for outcome in outcomes:
        root.add_testsuite(_suite(outcome))
    root.update_statistics()  # type: ignore[no-untyped-call]
    text = BytesIO()
    root.write(text, pretty=True)
    return text.getvalue().decode()


def _suite(outcome: Outcome) -> TestSuite:
    result = outcome.result
    suite = TestSuite(_text(outcome.name))
    if result is not None:
        suite.timestamp = result.started.replace("+00:00", "")
        for name in ("system", "seed", "topology", "command"):
            suite.add_property(name, _text(str(getattr(result, name))))
    suite.add_testcase(_run(outcome))
    for one in result.expectations if result else ():
        suite.add_testcase(_expectation(outcome, one))
    return suite


def _case(outcome: Outcome, name: str, seconds: float = 0.0) -> _Case:
    case = _Case(_text(name), _text(outcome.name), round(seconds, 3))
    case.file = _text(outcome.file)
    return case


def _run(outcome: Outcome) -> _Case:
    """Return the case that says whether the run can be judged at all."""
    result = outcome.result
    if result is None:
        case = _case(outcome, "run", outcome.seconds)
        case.result = [Error(_text(outcome.complaint or "the run came to no result"), "run")]
        return case
    case = _case(outcome, "run", result.duration_s)
    if result.verdict == "invalid":
        why = result.shaping.get("why") or "it was late"
        message = f"the emulated network did not keep up, and nothing is proven: {why}"
        case.result = [Error(_text(message), "invalid")]
    if result.troubles:
        case.system_err = _text("\n".join(result.troubles))
    return case


def _expectation(outcome: Outcome, one: Judged) -> _Case:
    after = f" after {one.fault}" if one.fault else ""
    case = _case(outcome, f"{one.metric} {one.op} {one.limit}{after}")
    if not one.ok:
        metric = METRICS.get(one.metric)
        what = metric.words if metric else one.metric
        message = f"{what}{after}: asked {words.asked(one)}, measured {words.measured(one)}"
        if one.why is not None:
            message = f"{what}{after}: not measured on real hosts: {one.why}"
        case.result = [Failure(_text(message), one.metric)]
    return case


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
