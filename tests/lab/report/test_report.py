"""The report: everything is in one file, what it says is what was measured, and what is hostile is text."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from overlaycast.lab.analysis import judge, series
from overlaycast.lab.recording.recording import NetworkSeen, Recording
from overlaycast.lab.report import terminal, words
from overlaycast.lab.report.layout import lay_out
from overlaycast.lab.report.page import render
from overlaycast.lab.report.picture import draw
from tests.lab import made_up
from tests.lab.made_up import Story

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Checker(HTMLParser):
    """Sees whether elements are closed in order, and what the file would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        return

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page(recording: Recording) -> str:
    """Return the report of a recording."""
    return render(judge.build(recording), series.build(recording), recording.network)


def checked(html: str) -> Checker:
    """Return what a parser saw in a page."""
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    return checker


def test_page_is_whole_and_needs_nothing_else() -> None:
    html = page(made_up.recording())
    assert checked(html).loads == []
    assert not re.search(r"@import|url\(|https?://", html)


def test_verdict_and_figures_are_told() -> None:
    text = " ".join("".join(checked(page(made_up.recording())).text).split())
    assert "All 11 surviving receivers have the stream, bit for bit." in text
    assert "The longest silence at any of them was 118 ms." in text
    assert "202b: 202a → backup" in text
    assert "In north the heir 202b is fed by backup, and feeds its siblings." in text
    assert "overlaycast lab run experiments/figure-2a.yaml --seed 1" in text


def test_an_invalid_run_begins_with_why_it_proves_nothing() -> None:
    why = "the wire was busy 99% of a second; accepted: 90%"
    recording = replace(made_up.recording(), shaping={"means": {}, "wire": None, "valid": False, "why": why})
    text = " ".join("".join(checked(page(recording)).text).split())
    assert f"this run shows nothing about the system: {why}." in text
    assert "All 11 surviving receivers" not in text


def test_failure_comes_first() -> None:
    text = " ".join("".join(checked(page(made_up.recording(Story(lost={"202e": 3})))).text).split())
    assert "10 of 11 surviving receivers" in text
    assert "records lost by a surviving receiver: = 0 records, measured 3 records" in text
    assert text.index("✗ not met") < text.index("✓ met")


def test_text_of_an_experiment_stays_text() -> None:
    recording = made_up.recording()
    hostile = recording.experiment.model_copy(update={"title": "<script>alert(1)</script>", "about": "</p><img src=x>"})
    html = page(replace(recording, experiment=hostile))
    assert "<script>alert" not in html
    assert checked(html).loads == []


@pytest.mark.parametrize("faults", [0, 1])
def test_fewer_faults_are_drawn_too(faults: int) -> None:
    recording = made_up.recording()
    html = page(replace(recording, faults=recording.faults[:faults], fidelity=[], counters=[]))
    assert html.count('class="pane') == 1 + faults


def test_every_copy_is_a_line() -> None:
    recording = made_up.recording()
    made = series.build(recording)
    layout = lay_out(recording.network, recording.cast.source)
    first, second, _ = made.pictures
    svg = draw(recording.network, layout, first, None)
    assert svg.count('class="flow') == len(first.edges) == 14
    assert svg.count('class="flow moved"') == 0
    assert re.findall(r'class="count[^"]*"><title>(\d) into (\w+)', svg) == [
        ("1", "north"),
        ("1", "east"),
        ("1", "south"),
        ("1", "west"),
    ]
    after = draw(recording.network, layout, second, first)
    assert after.count('class="flow moved"') == 3
    assert after.count('class="host gone"') == 1


def test_layout_gives_each_leaf_its_row() -> None:
    _, chosen, network = made_up.experiment()
    layout = lay_out(network, chosen.source)
    hosts = [node.name for node in network.nodes if node.kind == "host" and node.name != chosen.source]
    rows = sorted(layout.points[host].y for host in hosts)
    assert all(after - before > 1 for before, after in pairwise(rows))
    assert len({layout.points[host].x for host in chosen.peers}) == 1
    assert {box.site for box in layout.boxes} == {"north", "east", "south", "west"}
    assert max(point.y for point in layout.points.values()) < layout.height


def test_layout_of_a_lone_node() -> None:
    _, _, network = made_up.experiment()
    layout = lay_out(NetworkSeen(network.nodes[:1], ()), network.nodes[0].name)
    assert len(layout.points) == 1


@given(st.one_of(st.none(), st.booleans(), st.floats(0, 1e9), st.integers(0, 10**9)))
def test_numbers_are_short(value: float | None) -> None:
    assert 1 <= len(words.number(value)) <= 13


def test_next_to_nothing_has_no_sign() -> None:
    assert words.number(-0.001, "ms") == words.number(0.001, "ms")


def test_terminal_tells_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    result = judge.build(made_up.recording(Story(lost={"202e": 3})))
    terminal.show(result, Path("/x/report.html"), Console(width=140, color_system=None))
    printed = capsys.readouterr().out
    assert "202a was killed" in printed
    assert re.search(r"failed +lost", printed)
    assert "report: /x/report.html" in printed
