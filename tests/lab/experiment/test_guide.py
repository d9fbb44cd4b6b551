"""The guide to experiments names every field, every action, every target and every metric."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import BaseModel

from overlaycast.lab import injection
from overlaycast.lab.experiment import experiment
from overlaycast.lab.faults import aim, faults, targets
from overlaycast.lab.report import words
from overlaycast.lab.results.metrics import METRICS
from tests.lab.made_up import ROOT

GUIDE = (ROOT / "docs" / "writing-experiments.md").read_text()
ACTIONS: tuple[type[BaseModel], ...] = get_args(get_args(faults.Fault)[0])
MODELS = (
    experiment.Experiment,
    experiment.TopologyChoice,
    experiment.MediaStream,
    experiment.SyntheticStream,
    experiment.FileStream,
    experiment.Members,
    experiment.Arrival,
    experiment.Expectation,
    experiment.Limits,
    *ACTIONS,
)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_is_named(model: type[BaseModel]) -> None:
    assert [name for name in model.model_fields if f"`{name}`" not in GUIDE] == []


NAMES = [get_args(model.model_fields["action"].annotation)[0] for model in ACTIONS]


def test_every_action_is_explained_in_a_row() -> None:
    assert [name for name in NAMES if f"\n| `{name}` |" not in GUIDE] == []


def test_every_action_is_done_and_can_be_said() -> None:
    assert sorted(injection.DO) == sorted(words.ACTIONS) == sorted(NAMES)


def test_every_target_is_named() -> None:
    assert [one for one in (*targets.PLAIN, targets.FORWARDER_OF, targets.SHARE) if f"`{one}" not in GUIDE] == []
    assert [one for one in (aim.UPLINK, aim.LINK) if f"`{one}" not in GUIDE] == []


def test_every_metric_is_explained_as_the_code_does() -> None:
    rows = [f"| `{name}` | {metric.unit} | {metric.words} |" for name, metric in METRICS.items()]
    assert [row for row in rows if row not in GUIDE] == []
