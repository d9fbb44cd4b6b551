"""docs/report.md says what the code says: the files of a run, the options of comparing, the systems."""

from __future__ import annotations

import pytest

from overlaycast.lab.commands.compare import CompareSettings
from overlaycast.lab.experiment.system import SYSTEMS
from overlaycast.lab.run.programs import RESULTS
from tests.lab.made_up import ROOT

PAGE = (ROOT / "docs" / "report.md").read_text()


@pytest.mark.parametrize("name", [name for name in CompareSettings.model_fields if name != "experiment"])
def test_every_option_of_compare_is_described(name: str) -> None:
    field = CompareSettings.model_fields[name]
    assert f"`--{field.alias or name}`" in PAGE


@pytest.mark.parametrize("name", [*RESULTS, *SYSTEMS, "compare.json", "compare.html", "study.html"])
def test_every_file_and_system_is_described(name: str) -> None:
    assert f"`{name}`" in PAGE
