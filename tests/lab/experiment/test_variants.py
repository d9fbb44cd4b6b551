"""Repeat and sweep, spelled out."""

from __future__ import annotations

from pathlib import Path

import pytest

from overlaycast.document import placed_yaml
from overlaycast.document.placed_yaml import PlacedYaml
from overlaycast.errors import ConfigError
from overlaycast.lab.experiment import experiment
from overlaycast.lab.experiment.variants import Variant, expand

BASE = """\
name: tiny
topology: {file: net.py}
seed: 5
stream: {kind: synthetic, seconds: 10}
timeline:
  - {at_s: 5, action: kill, target: leaf}
expect:
  - {metric: lost, op: "==", limit: 0}
"""


def read(more: str = "") -> PlacedYaml:
    """Return the document with some lines added."""
    return placed_yaml.parse(BASE + more, Path("x.yaml"))


def runs(more: str = "", seed: int | None = None) -> tuple[Variant, ...]:
    """Return what it asks for."""
    return expand(read(more), seed)


def test_one_run_as_it_stands() -> None:
    [one] = runs()
    assert (one.seed, one.point, one.count) == (5, (), 1)
    assert one.document.values == read().values


def test_repetitions_count_their_seeds_on() -> None:
    assert [one.seed for one in runs("repeat: 3\n")] == [5, 6, 7]
    assert [one.seed for one in runs("repeat: 3\n", seed=100)] == [100, 101, 102]


def test_every_combination_with_every_seed() -> None:
    found = runs("repeat: 2\nsweep: {group.default_out_degree: [2, 3], 'timeline[0].at_s': [1, 2]}\n")
    assert len(found) == 8
    assert [one.number for one in found] == [1, 2, 3, 4, 5, 6, 7, 8]
    degrees = {one.document.values["group"]["default_out_degree"] for one in found}
    times = {one.document.values["timeline"][0]["at_s"] for one in found}
    assert (degrees, times) == ({2, 3}, {1, 2})
    assert found[1].point == (("group.default_out_degree", 2), ("timeline[0].at_s", 1))
    assert found[1].label == "2_default-out-degree-2_at-s-1_seed-6"
    assert len({one.label for one in found}) == 8


def test_the_file_itself_is_not_changed() -> None:
    document = read("sweep: {stream.seconds: [1, 2]}\n")
    expand(document)
    assert document.values["stream"]["seconds"] == 10


def test_each_variant_is_an_experiment() -> None:
    for one in runs("sweep: {group.default_out_degree: [2, 3]}\n"):
        assert experiment.parse(one.document).group.default_out_degree in (2, 3)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("sweep: [1]\n", "x.yaml:9: sweep: accepted is a mapping"),
        ("sweep: {group.mode: live}\n", "x.yaml:9: sweep.group.mode: accepted is a list of one value or more"),
        ("sweep: {group.mode: []}\n", "x.yaml:9: sweep.group.mode: accepted is a list"),
        ("sweep: {'a b': [1]}\n", "x.yaml:9: sweep.a b: accepted is a field, as in group.default_out_degree"),
        ("sweep: {seed: [1]}\n", "x.yaml:9: sweep.seed: accepted is a field"),
        ("sweep: {'timeline[3].at_s': [1]}\n", "x.yaml:9: sweep.timeline[3].at_s: the file has no 3 there"),
        ("repeat: 600\nsweep: {stream.seconds: [1, 2]}\n", "x.yaml:9: repeat: 1200 runs; accepted: up to 1000"),
    ],
)
def test_wrong_sweeps_are_named(more: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        runs(more)
    assert str(error.value).startswith(said)


def test_an_error_in_a_value_names_its_line() -> None:
    [one] = runs("sweep: {group.default_out_degree: [-1]}\n")
    with pytest.raises(ConfigError, match=r"x\.yaml:9: group\.default_out_degree: should be greater"):
        experiment.parse(one.document)


def test_an_unknown_field_is_an_error() -> None:
    [one] = runs("sweep: {group.colour: [red]}\n")
    with pytest.raises(ConfigError, match=r"x\.yaml:9: group\.colour: unknown field 'colour'"):
        experiment.parse(one.document)
