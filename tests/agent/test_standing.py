"""When a member counts as ready, and what is said of it, for every role and state."""

from __future__ import annotations

from typing import get_args

import pytest

from overlaycast.agent.standing import NOT_ADMITTED, standing
from overlaycast.wire.messages import ReportState, Role


@pytest.mark.parametrize(
    ("role", "state", "feeder", "ready", "words"),
    [
        ("peer", "waiting", None, False, "waits for the stream"),
        ("relay", "waiting", None, False, "waits for the stream"),
        ("backup", "waiting", None, True, "waits for the stream"),
        ("source", "waiting", None, True, "waits for the coordinator to begin"),
        ("source", "streaming", None, True, "sends"),
        ("source", "ended", None, True, "has sent everything"),
        ("peer", "streaming", "a (1)", True, "fed by a (1)"),
        ("relay", "streaming", "a (1)", True, "fed by a (1)"),
        ("backup", "streaming", "a (1)", True, "fed by a (1)"),
        ("peer", "stalled", "a (1)", True, "gets nothing: its parent gets nothing either"),
        ("peer", "stalled", None, False, "gets nothing: its parent gets nothing either"),
        ("peer", "switching", "a (1)", True, "gets nothing, and looks for another parent"),
        ("peer", "ended", "a (1)", True, "has received everything"),
        ("peer", "ended", None, True, "has received everything"),
    ],
)
def test_standing(role: Role, state: ReportState, feeder: str | None, ready: bool, words: str) -> None:
    at = standing(role, state, feeder, 0, connected=True)
    assert (at.ready, at.status) == (ready, words)


def test_children_and_a_lost_coordinator_are_said() -> None:
    assert standing("peer", "streaming", "a (1)", 1, True).status == "fed by a (1); feeds 1 child"
    away = standing("source", "streaming", None, 3, False)
    assert away.status == "sends; feeds 3 children; does not reach the coordinator"
    assert away.ready, "the stream goes on without a coordinator"


def test_a_standby_is_ready_when_it_is_admitted() -> None:
    waiting = standing("source", "waiting", None, 0, True, standby=True)
    assert (waiting.ready, waiting.status) == (True, "stands by for the source")
    assert standing("source", "streaming", None, 2, True, standby=True).status == "sends; feeds 2 children"


def test_nobody_is_ready_before_it_is_admitted() -> None:
    assert not NOT_ADMITTED.ready


@pytest.mark.parametrize("role", get_args(Role))
@pytest.mark.parametrize("state", get_args(ReportState))
def test_every_state_has_words(role: Role, state: ReportState) -> None:
    assert standing(role, state, "a (1)", 0, True).status
