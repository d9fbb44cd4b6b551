"""The HTTP API's models: what a reader makes of an older or a newer coordinator, and what a request may hold."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from overlaycast.wire.views import API_VERSION, EventView, GroupsView, NewGroup, SeatView, TreeView

SEAT = {"id": 3, "name": "anna", "role": "peer"}


def test_an_answer_says_its_version() -> None:
    assert GroupsView(groups=()).model_dump() == {"api_version": API_VERSION, "groups": ()}


def test_an_older_answer_without_a_version_is_read() -> None:
    tree = TreeView.model_validate({"epoch": 4, "members": [SEAT]})
    assert (tree.api_version, tree.root, tree.members[0].parent, tree.members[0].standbys) == (
        API_VERSION,
        None,
        None,
        (),
    )


def test_a_newer_answer_with_more_fields_is_read() -> None:
    assert SeatView.model_validate({**SEAT, "mood": "good"}) == SeatView.model_validate(SEAT)
    assert TreeView.model_validate({"api_version": 9, "epoch": 4, "members": []}).api_version == 9


def test_an_answer_that_lacks_something_is_not_read() -> None:
    with pytest.raises(ValidationError, match="kind"):
        EventView.model_validate({"n": 1, "t": 2.5})


def test_a_request_with_more_fields_is_refused() -> None:
    with pytest.raises(ValidationError, match="colour"):
        NewGroup.model_validate({"name": "demo", "colour": "red"})
