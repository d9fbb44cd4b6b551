"""A plan file holds the whole plan: what the inner process reads is what the outer one checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from overlaycast.lab.commands import inside
from overlaycast.lab.commands.inside import Inside
from overlaycast.lab.commands.run_plans import RunSettings, plans
from overlaycast.lab.experiment.system import SYSTEMS, System
from tests.lab.made_up import ROOT

FILES = sorted((ROOT / "experiments").rglob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_every_plan_reads_back_as_it_was_written(file: Path) -> None:
    for plan in plans(RunSettings.model_construct(experiments=[file], capture=True), file)[:3]:
        read = inside.read(inside.written(Inside(plan, keep=True, json_output=True)))
        assert read == Inside(plan, keep=True, json_output=True)
        assert read.plan.experiment.group.model_fields_set == plan.experiment.group.model_fields_set
        assert read.plan.arrivals == plan.arrivals
        assert read.plan.topology.next_links == plan.topology.next_links


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("faults", [True, False])
def test_plans_of_other_systems_do_too(system: System, faults: bool) -> None:
    file = ROOT / "experiments" / "figure-2a.yaml"
    [plan] = plans(RunSettings.model_construct(experiments=[file], system=system, faults=faults), file)
    assert inside.read(inside.written(Inside(plan, prompt=True, tables=False))).plan == plan
