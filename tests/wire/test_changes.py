"""What may change while a group runs: what differs is found, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.wire.changes import FIXED, changes
from overlaycast.wire.group import Changing, GroupSettings, changing

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "mode": st.sampled_from(["live", "file"]),
    "strategy": st.sampled_from(["location", "performance", "both"]),
    "rate_mbit": st.floats(0.1, 100),
    "depth_limit": st.integers(1, 64),
    "heartbeat_ms": st.integers(5, 500),
    "silence_ms": st.integers(10, 500),
    "improve_s": st.floats(0, 100),
    "start_from": st.sampled_from(["edge", "oldest"]),
}
SOME = st.fixed_dictionaries({}, optional=VALUES)


@pytest.mark.parametrize("name", GroupSettings.model_fields)
def test_each_setting_says_once_whether_it_may_change(name: str) -> None:
    assert isinstance(changing(name), Changing)
    assert changing(name).may or not changing(name).told


@given(SOME, SOME)
def test_what_is_given_and_differs_changes_and_all_else_stays(before: dict[str, Any], wanted: dict[str, Any]) -> None:
    present = GroupSettings(**before)
    found = changes(present, GroupSettings(**wanted))
    assert found.settings.model_dump() == present.model_dump() | wanted
    assert found.changed == {
        name: (getattr(present, name), wanted[name])
        for name in GroupSettings.model_fields
        if name in wanted and wanted[name] != getattr(present, name)
    }
    assert list(found.refused) == [name for name in found.changed if not changing(name).may]
    assert all(why.startswith(f"{FIXED}: ") for why in found.refused.values())
    assert changes(found.settings, GroupSettings(**wanted)).changed == {}


@given(SOME, SOME)
def test_with_all_names_what_is_not_given_counts_with_its_default(a: dict[str, Any], b: dict[str, Any]) -> None:
    wanted = GroupSettings(**b)
    assert changes(GroupSettings(**a), wanted, GroupSettings.model_fields).settings == wanted


@pytest.mark.parametrize(
    ("given", "told"), [({}, False), ({"improve_s": 3}, False), ({"improve_s": 3, "report_ms": 500}, True)]
)
def test_members_are_told_what_they_use(given: dict[str, Any], told: bool) -> None:
    assert changes(GroupSettings(), GroupSettings(**given)).told is told


def test_that_a_group_is_for_files_changes_no_times() -> None:
    """Defaults of file groups are filled in where a group is made, not where one setting is named."""
    present = GroupSettings(mode="file", silence_ms=500)
    assert changes(present, GroupSettings(mode="file")).changed == {}
    assert list(changes(GroupSettings(), GroupSettings(mode="file")).changed) == ["mode"]
