"""The pages in a real browser: nothing complains or is fetched, the slider tells the time, a phone is wide enough."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from overlaycast.lab.analysis import judge, many, series
from overlaycast.lab.analysis.compare import StoredRun, compare
from overlaycast.lab.report import compare_page, many_page
from overlaycast.lab.report.page import render
from tests.lab import made_up
from tests.lab.browser import Page, browser
from tests.lab.made_up import Story

pytestmark = pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium to open pages")
PHONE = 380


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """One browser for all of them."""
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up run's report."""
    recording = made_up.recording()
    file = tmp_path_factory.mktemp("pages") / "report.html"
    file.write_text(render(judge.build(recording), series.build(recording), recording.network))
    return file


def comparison(folder: Path) -> Path:
    """Return a comparison's page."""
    runs = []
    for system, story in (("overlay", Story()), ("unicast", Story(copies_into={"north": 6}))):
        recording = replace(made_up.recording(story), system=system)
        runs.append(StoredRun(judge.build(recording), series.build(recording)))
    file = folder / "compare.html"
    file.write_text(compare_page.render(compare(runs), runs, "overlaycast lab compare x.yaml"))
    return file


def sweep(folder: Path) -> Path:
    """Return a study's page."""
    runs = [
        many.Sample(
            (("group.default_out_degree", number % 3 + 2),),
            number,
            f"run-{number}",
            judge.build(made_up.recording(Story(kill_gap_ms=30 + number))),
        )
        for number in range(9)
    ]
    file = folder / "study.html"
    file.write_text(many_page.render(many.study("figure-2a", runs), "overlaycast lab run x.yaml"))
    return file


def opened(page: Page, file: Path, width: int = 1100, scheme: str = "light", media: str = "screen") -> Page:
    """Open a file as somebody sees it, and see that it needs nothing else."""
    page.emulate(width, scheme, media)
    page.requests.clear()
    page.open(file)
    assert page.complaints == []
    assert page.requests == [file.resolve().as_uri()]
    return page


def seek(page: Page, second: float) -> None:
    """Move the slider."""
    page.evaluate(
        f"{{ const w = document.getElementById('when'); w.value = {second}; w.dispatchEvent(new Event('input')); }}"
    )


def counted(page: Page, selector: str) -> int:
    """Return how many elements there are."""
    return int(page.evaluate(f"document.querySelectorAll({selector!r}).length"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone(page: Page, report: Path, tmp_path: Path, scheme: str) -> None:
    for file in (report, comparison(tmp_path), sweep(tmp_path)):
        opened(page, file, PHONE, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE, file.name


def test_dark_is_dark(page: Page, report: Path) -> None:
    colours = []
    for scheme in ("light", "dark"):
        opened(page, report, scheme=scheme)
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours[0] != colours[1]


def test_slider_shows_the_tree_of_its_moment(page: Page, report: Path) -> None:
    opened(page, report)
    assert counted(page, "#screen .flow") == 14
    seek(page, 10.01)
    assert counted(page, "#screen .host.gone") == 1
    assert counted(page, "#screen .flow") == 14 - 4  # the killed one is fed no more, and feeds nobody
    seek(page, 15)
    assert counted(page, "#screen .flow.moved") == 3
    assert page.evaluate("document.getElementById('clock').textContent") == "15.0 s"
    assert "202b is fed by backup" in page.evaluate("document.getElementById('what').textContent")
    seek(page, 25)
    assert counted(page, "#screen .host.gone") == 2


def test_buttons_go_from_change_to_change(page: Page, report: Path) -> None:
    opened(page, report)
    steps = []
    for _ in range(4):
        page.evaluate("document.getElementById('next').click()")
        steps.append(float(page.evaluate("document.getElementById('what').textContent.split(' ')[0]")))
    assert steps == sorted(set(steps))
    page.evaluate("document.getElementById('back').click()")
    assert float(page.evaluate("document.getElementById('what').textContent.split(' ')[0]")) == steps[-2]


def test_bookmarks_move_the_slider(page: Page, report: Path) -> None:
    opened(page, report)
    page.evaluate("document.querySelectorAll('#pictures [role=tab]')[2].click()")
    assert float(page.evaluate("document.getElementById('when').value")) > 20
    assert page.evaluate("document.querySelector('[aria-selected=true]').textContent") == "after silent-death"
    assert counted(page, "#screen .flow.moved") == 2


def test_it_plays(page: Page, report: Path) -> None:
    opened(page, report)
    page.evaluate("document.getElementById('play').click()")
    played = (
        "new Promise(done => { const look = () => Number(document.getElementById('when').value) > 0.2"
        " ? done(true) : requestAnimationFrame(look); look(); })"
    )
    answer = page.call("Runtime.evaluate", expression=played, awaitPromise=True, returnByValue=True)
    assert answer["result"]["value"] is True
    page.evaluate("document.getElementById('play').click()")
    assert page.evaluate("document.getElementById('play').title") == "play"


def test_print_has_the_pictures_and_no_slider(page: Page, report: Path) -> None:
    opened(page, report, 794, media="print")
    assert page.evaluate("getComputedStyle(document.getElementById('animation')).display") == "none"
    shown = "[...document.querySelectorAll('.pane')].filter(one => getComputedStyle(one).display !== 'none').length"
    assert page.evaluate(shown) == 3
    assert page.evaluate("document.documentElement.scrollWidth") <= 794


def test_a_run_in_which_nothing_moved_has_its_picture(page: Page, tmp_path: Path) -> None:
    recording = made_up.recording()
    still = {host: replace(book, entries=book.entries[:2]) for host, book in recording.journals.items()}
    still[recording.cast.source] = recording.journals[recording.cast.source]
    recording = replace(recording, faults=(), journals=still)
    file = tmp_path / "still.html"
    file.write_text(render(judge.build(recording), series.build(recording), recording.network))
    opened(page, file)
    assert counted(page, "#animation") == 0
    assert counted(page, ".pane.shown svg") == 1
