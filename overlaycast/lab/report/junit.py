"""Results for CI, in the XML that JUnit made common: a suite per experiment, a case per expectation. Pure.

Owns: the mapping. An expectation that was not met is a failure; a run that could not be judged (it did not happen, or
its network was not what was asked for) is an error. Each suite has a case ``run`` beside the expectations, so that a
run without result shows too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from overlaycast.lab.report import words
from overlaycast.lab.results.metrics import METRICS
from overlaycast.lab.results.outcome import Outcome
from overlaycast.lab.results.result import Judged

_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold (section 2.2), and a program's last words may."""


def document(outcomes: Sequence[Outcome]) -> str:
    """Return the XML."""
    root = Element("testsuites", name="overlaycast lab")
    for outcome in outcomes:
        _suite(root, outcome)
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, 0)) for suite in root)))
    root.set("time", f"{sum(float(suite.get('time', 0)) for suite in root):.3f}")
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(root: Element, outcome: Outcome) -> None:
    result = outcome.result or {}
    suite = SubElement(root, "testsuite", name=_text(outcome.name))
    seconds = float(result.get("duration_s", outcome.seconds))
    suite.set("time", f"{seconds:.3f}")
    if "started" in result:
        suite.set("timestamp", str(result["started"]).replace("+00:00", ""))
    properties = SubElement(suite, "properties")
    for name in ("system", "seed", "topology", "command"):
        if name in result:
            SubElement(properties, "property", name=name, value=_text(str(result[name])))
    run = _case(suite, outcome, "run", seconds)
    _judge_run(run, outcome)
    for one in result.get("expectations", ()):
        _expectation(suite, outcome, one)
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))


def _case(suite: Element, outcome: Outcome, name: str, seconds: float = 0.0) -> Element:
    case = SubElement(suite, "testcase", classname=_text(outcome.name), name=_text(name), file=_text(outcome.file))
    case.set("time", f"{seconds:.3f}")
    return case


def _judge_run(case: Element, outcome: Outcome) -> None:
    if outcome.result is None:
        SubElement(case, "error", type="run", message=_text(outcome.complaint or "the run came to no result"))
    elif outcome.result["verdict"] == "invalid":
        why = (outcome.result.get("shaping") or {}).get("why") or "it was late"
        message = _text(f"the emulated network did not keep up, and nothing is proven: {why}")
        SubElement(case, "error", type="invalid", message=message)
    troubles = (outcome.result or {}).get("troubles", ())
    if troubles:
        SubElement(case, "system-err").text = _text("\n".join(troubles))


def _expectation(suite: Element, outcome: Outcome, one: Mapping[str, Any]) -> None:
    after = f" after {one['fault']}" if one["fault"] else ""
    judged = Judged(**one)
    case = _case(suite, outcome, f"{one['metric']} {one['op']} {one['limit']}{after}")
    if not one["ok"]:
        metric = METRICS.get(one["metric"])
        what = metric.words if metric else one["metric"]
        message = f"{what}{after}: asked {words.asked(judged)}, measured {words.measured(judged)}"
        SubElement(case, "failure", type=one["metric"], message=_text(message))


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
