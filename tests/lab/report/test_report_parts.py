"""The drawings of the reports: heat map, frames, dots, charts of many runs; each says what it was given."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.lab.analysis import judge, many, series
from overlaycast.lab.analysis.series import Receiver, Series
from overlaycast.lab.report import dots, heat, many_page, picture
from overlaycast.lab.report.charts import Mark
from overlaycast.lab.report.dots import Dot
from overlaycast.lab.report.layout import lay_out
from overlaycast.lab.report.page import as_script, heat_map, marks_of
from overlaycast.lab.report.strokes import shortest_silence_ms
from overlaycast.lab.report.tree_frames import tree_frames
from tests.lab import made_up
from tests.lab.made_up import Story

RECORDING = made_up.recording()
RESULT, TIMELINES = judge.build(RECORDING), series.build(RECORDING)


def drawn(svg: str) -> ElementTree.Element:
    """Return the element, so that an unclosed one is an error."""
    return ElementTree.fromstring(svg.replace("&nbsp;", " "))


def kinds(svg: str) -> dict[str, int]:
    """Return how often each class occurs."""
    found: dict[str, int] = {}
    for one in drawn(svg).iter():
        name = one.get("class", "")
        found[name] = found.get(name, 0) + 1
    return found


# --- heat ----------------------------------------------------------------------------------------------------------


def test_heat_has_a_row_for_everybody_and_red_for_silences() -> None:
    svg = heat_map(RESULT, TIMELINES, marks_of(RESULT))
    found = kinds(svg)
    assert found["name"] == 13
    assert found["where"] == 4
    assert found["span"] == 2
    assert found["silence"] == 5 + 2  # behind the killed one, and behind the silent one
    assert found["hx"] == 2


@pytest.mark.parametrize(
    ("seconds", "records", "bound"), [(10, 7600, 40), (10, 1900, 40), (10, 475, 85), (10, 10, 4000)]
)
def test_a_silence_is_some_records_missed_in_a_row(seconds: int, records: int, bound: float) -> None:
    steps = seconds * 5
    one = Receiver("202b", (2.0,) * steps, (None,) * steps, (None,) * steps)
    delivery = [replace(part, received=records) for part in RESULT.delivery if part.host == "202b"]
    timelines = Series(0.2, (2.0,) * steps, (one,), {}, ())
    assert shortest_silence_ms(replace(RESULT, delivery=tuple(delivery)), timelines) == bound


def test_of_receivers_that_got_nothing_no_interval_is_known() -> None:
    one = Receiver("202b", (0.0,) * 50, (None,) * 50, (None,) * 50)
    delivery = [replace(part, received=3) for part in RESULT.delivery if part.host == "202b"]
    timelines = Series(0.2, (2.0,) * 50, (one,), {}, ())
    assert shortest_silence_ms(replace(RESULT, delivery=tuple(delivery)), timelines) == 40
    assert shortest_silence_ms(replace(RESULT, delivery=()), replace(timelines, receivers=())) == 40


def test_a_slow_streams_own_pauses_are_not_red() -> None:
    slow = replace(
        TIMELINES,
        receivers=tuple(replace(one, gap_ms=tuple(84.0 for _ in one.gap_ms)) for one in TIMELINES.receivers),
    )
    few = replace(RESULT, delivery=tuple(replace(one, received=1400) for one in RESULT.delivery))
    assert kinds(heat_map(few, slow, ())).get("silence", 0) == 0
    assert kinds(heat_map(RESULT, slow, ())).get("silence", 0) > 0


def test_a_band_lasts_as_long_as_its_legend_says() -> None:
    [kill, *_] = RESULT.faults
    unhealed = {"healed_s": None, "at_s": 10.0}
    for changes, until in (
        ({"healed_s": 12.0}, 12.0),
        ({**unhealed, "affected": 2, "recovered_ms": 500.0}, 10.5),
        ({**unhealed, "affected": 2, "recovered_ms": None}, None),
        ({**unhealed, "affected": 0, "recovered_ms": None}, 10.0),
        ({**unhealed, "affected": 0, "recovered_ms": None, "action": "coordinator-kill"}, None),
    ):
        [mark] = marks_of(replace(RESULT, faults=(replace(kill, **changes),)))
        assert mark.until_s == until
    to_the_end = drawn(heat_map(RESULT, TIMELINES, (Mark(1, 10.0, None),)))
    [span] = [one for one in to_the_end.iter() if one.get("class") == "span"]
    assert float(span.get("width", "0")) > 500


def test_a_steady_receiver_is_one_rectangle() -> None:
    one = Receiver("a", (4.0,) * 100, (None,) * 100, (None,) * 100)
    timelines = Series(0.2, (4.0,) * 100, (one,), {}, ())
    found = kinds(heat.draw(timelines, heat.rows(timelines, {}, {}), 4.0, (), 40))
    assert {name: count for name, count in found.items() if re.fullmatch("h.", name)} == {"h3": 1}


@given(st.lists(st.floats(0, 20), min_size=1, max_size=40), st.booleans(), st.floats(0, 9), st.integers(1, 90))
def test_heat_draws_whatever_comes(rates: list[float], survived: bool, full: float, many_rows: int) -> None:
    steps = len(rates)
    receivers = tuple(Receiver(f"<{n}>", tuple(rates), (50.0,) * steps, (None,) * steps) for n in range(many_rows))
    timelines = Series(0.2, (full,) * steps, receivers, {}, ())
    shown = heat.rows(timelines, {f"<{n}>": f"&{n % 3}" for n in range(many_rows)}, {"<0>": survived})
    svg = drawn(heat.draw(timelines, shown, full, (Mark(1, 0.1, None), Mark(2, 0.1, 9)), 40))
    _, _, width, height = map(float, svg.get("viewBox", "").split())
    for rect in svg.iter("rect"):
        assert float(rect.get("y", 0)) >= 0
        assert float(rect.get("y", 0)) + float(rect.get("height", 0)) <= height + 0.1
        assert float(rect.get("x", 0)) <= width + 1


@pytest.mark.parametrize(("rate", "name"), [(0, "h0"), (1, "h1"), (3, "h2"), (4, "h3"), (4.7, "h3"), (6, "h4")])
def test_looks(rate: float, name: str) -> None:
    assert heat.look(rate, 4.0) == name


def test_who_got_nothing_after_a_while_is_red_to_the_end() -> None:
    one = Receiver("a", (4.0,) * 10 + (0.0,) * 10, (None,) * 20, (None,) * 20)
    timelines = Series(0.2, (4.0,) * 20, (one,), {}, ())
    shown = heat.rows(timelines, {}, {"a": True})
    svg = drawn(heat.draw(timelines, shown, 4.0, (), 40))
    (red,) = (rect for rect in svg.iter("rect") if rect.get("class") == "h0")
    assert float(red.get("width", 0)) == pytest.approx((heat.WIDTH - heat.NAMES) / 2, abs=1)


# --- frames ----------------------------------------------------------------------------------------------------------


def frames() -> dict[str, Any]:
    """Return the made-up run's frames."""
    network = RECORDING.network
    faults = [fault.at_s for fault in RESULT.faults]
    found = tree_frames(network, lay_out(network, RESULT.source), TIMELINES.moments, faults, TIMELINES)
    again: dict[str, Any] = json.loads(json.dumps(found))
    return again


def frame(found: dict[str, Any], second: float) -> str:
    """Return what is drawn at a second."""
    newest = [one for one in found["frames"] if one["t"] <= second][-1]
    return "".join(found["pieces"][number] for number in newest["show"])


def test_every_frame_draws_the_tree_of_its_moment() -> None:
    found = frames()
    for moment, one in zip(TIMELINES.moments, found["frames"], strict=True):
        assert frame(found, one["t"]).count('<g class="flow') == len(moment.edges)
    assert frame(found, 5).count('class="flow moved"') == 0
    assert frame(found, 15).count('class="flow moved"') == 3
    assert frame(found, 25).count('class="host gone"') == 2


def test_pieces_are_stored_once() -> None:
    found = frames()
    assert len(set(found["pieces"])) == len(found["pieces"])
    shown = sum(len(one["show"]) for one in found["frames"])
    assert len(found["pieces"]) < 0.5 * shown


def test_quiet_steps_are_those_without_records() -> None:
    found = frames()
    assert "x" not in found["quiet"]["202m"]
    assert found["quiet"]["202a"][60] == "x"


def test_many_changes_at_once_are_counted() -> None:
    moment = replace(TIMELINES.moments[0], what=tuple(f"h{n} is fed by s" for n in range(9)))
    network = RECORDING.network
    found = tree_frames(network, lay_out(network, RESULT.source), [moment], [], TIMELINES)
    assert found["frames"][0]["what"].endswith("; and 5 more")


def test_a_script_cannot_be_left() -> None:
    assert "</script" not in as_script({"a": "</script><script>alert(1)</script>"})
    assert json.loads(as_script({"a": "<b>"})) == {"a": "<b>"}


# --- dots ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=40), st.booleans())
def test_every_dot_is_on_the_axis(values: list[float], log: bool) -> None:
    svg = drawn(dots.draw([Dot(f"h&{n}", value) for n, value in enumerate(values)], "ms", log=log))
    places = [float(circle.get("cx", -1)) for circle in svg.iter("circle")]
    assert len(places) == len(values)
    assert all(dots.SIDE - 0.1 <= place <= dots.WIDTH - dots.SIDE + 0.1 or len(set(values)) == 1 for place in places)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.booleans())
def test_ticks_are_few_and_rise(one: float, other: float, log: bool) -> None:
    left, right = sorted((one + 0.01 * log, other + 0.01 * log))
    ticks = dots.ticks(left, right, log)
    assert 2 <= len(ticks) <= 12
    assert ticks == sorted(set(ticks))
    assert ticks[0] <= left * (1 + 1e-6) + 1e-9


# --- many runs -----------------------------------------------------------------------------------------------------


def samples(fields: tuple[str, ...]) -> list[many.Sample]:
    """Return eight runs, at two values of each field."""
    found = []
    for number in range(8):
        story = Story(kill_gap_ms=30.0 + number, lost={"202e": 3} if number == 7 else {})
        point = tuple((field, number >> bit & 1) for bit, field in enumerate(fields))
        found.append(many.Sample(point, number, f"run-{number}", judge.build(made_up.recording(story))))
    return found


def test_repeats_have_median_and_spread() -> None:
    study = many.study("figure-2a", samples(()))
    assert study.passed == 7
    gaps = next(one for one in study.measured if one.name == "recovered_ms")
    assert gaps.spreads[0].seeds == tuple(range(8))
    assert (gaps.spreads[0].low, gaps.spreads[0].high) == (min(gaps.spreads[0].values), max(gaps.spreads[0].values))
    assert gaps.spreads[0].median == sorted(gaps.spreads[0].values)[3:5][0] / 2 + sorted(gaps.spreads[0].values)[4] / 2
    page = many_page.render(study, "overlaycast lab run x.yaml")
    assert "7 of 8 runs met every expectation." in page
    assert page.count("report.html") == 8


def test_a_sweep_is_drawn_per_point_and_field() -> None:
    study = many.study("figure-2a", samples(("group.default_out_degree", "group.heartbeat_ms")))
    assert len(study.points) == 4
    lost = next(one for one in study.measured if one.name == "lost")
    svg = many_page.chart(lost, study.points)
    assert kinds(svg)["line c0"] == kinds(svg)["line c1"] == 1
    assert svg.count("<circle") == 8
    page = many_page.render(study, "x")
    assert "heartbeat_ms 1" in page
    assert "swept: group.default_out_degree, group.heartbeat_ms" in page


def test_runs_without_result_are_failures_without_figures() -> None:
    none = [many.Sample((("seed", n),), n, f"run-{n}", None) for n in range(2)]
    study = many.study("x", none)
    assert (study.passed, study.measured) == (0, ())
    assert "2 came to no result." in many_page.render(study, "x")


def test_what_an_experiment_expects_comes_first() -> None:
    study = many.study("figure-2a", samples(()))
    asked = [bool(one.asked) for one in study.measured]
    assert asked == sorted(asked, reverse=True)


def test_where_routers_copy_a_link_has_one_line() -> None:
    network, layout = RECORDING.network, lay_out(RECORDING.network, RESULT.source)
    star = replace(TIMELINES.pictures[0], edges=dict.fromkeys(RECORDING.cast.peers, RECORDING.cast.source))
    many_lines, one_line = (picture.draw(network, layout, star, None, merged) for merged in (False, True))
    assert re.findall(r"<title>(\d) into", many_lines) == ["6", "3", "2", "2"]
    assert re.findall(r"<title>(\d) into", one_line) == ["1", "1", "1", "1"]
    assert "RS-core1: 100 Mbit/s, 2 ms, 13 lines" in many_lines
    assert "RS-core1: 100 Mbit/s, 2 ms, 1 lines" in one_line


def test_a_host_that_takes_no_part_does_not_look_like_a_receiver() -> None:
    network = RECORDING.network
    some = replace(network, paths={pair: path for pair, path in network.paths.items() if "202m" not in pair})
    first = replace(TIMELINES.pictures[0], edges={**TIMELINES.pictures[0].edges})
    first.edges.pop("202m", None)
    drawn = picture.draw(some, lay_out(some, RESULT.source), first, None)
    assert '<g class="host idle" data-host="202m">' in drawn
    assert drawn.count('class="host idle"') == 1
    assert "host idle" not in picture.draw(network, lay_out(network, RESULT.source), TIMELINES.pictures[0], None)
