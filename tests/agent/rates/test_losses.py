"""When lost records are told."""

from __future__ import annotations

from overlaycast.agent.rates.losses import Losses


def test_a_loss_is_told_at_once_and_then_once_a_second() -> None:
    losses = Losses()
    assert losses.due(0, 10.0) == 0
    assert losses.due(5, 10.2) == 5
    assert losses.due(7, 10.4) == 0
    assert losses.due(9, 11.0) == 0
    assert losses.due(9, 11.2) == 4
    assert losses.due(9, 20.0) == 0


def test_what_waits_is_told_at_the_end() -> None:
    losses = Losses()
    losses.due(5, 10.0)
    assert losses.due(7, 10.1) == 0
    assert losses.rest(7, 10.1) == 2
    assert losses.rest(7, 10.1) == 0
